"""What came of faults: a line for each, and a count at the end."""


class Tally:
    """Counts what was as promised.

    Args:
        what: String, what one of them is, in the plural.

    Example:

    ```python
    tally = Tally("flipped bits")
    tally.add("bit 3", True, "found")
    sys.exit(tally.end())
    ```
    """

    def __init__(self, what):
        self.what = what
        self.good, self.bad = 0, []

    def add(self, name, good, came):
        """Prints and counts one. `came` says what came of it; returns `good`."""
        print(f"{'ok ' if good else 'BAD'} {name}: {came}", flush=True)
        self.count(name, good)
        return good

    def count(self, name, good):
        """Counts one without a line."""
        if good:
            self.good += 1
        else:
            self.bad.append(name)

    def end(self):
        """Prints the count; returns the exit code, 1 if one was not as promised or none was tried."""
        tried = self.good + len(self.bad)
        print(f"{self.what}: {tried:,} tried, {self.good:,} as promised, {len(self.bad):,} not")
        for name in self.bad:
            print(f"  not as promised: {name}")
        return 1 if self.bad or not tried else 0
