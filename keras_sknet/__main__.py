"""`python -m keras_sknet` is the command `keras-sknet`."""

import sys

from keras_sknet.cli import main

sys.exit(main())
