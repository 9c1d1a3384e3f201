"""What a network looks at: attention scores and figures of them."""
