"""How a command ends otherwise than well."""


class CommandError(Exception):
    """Something the user can mend; its text is the one line that they see."""


class Stopped(Exception):
    """The user pressed Ctrl-C; its text says what is left."""
