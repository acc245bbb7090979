"""The one exception that means: the input or the configuration is wrong, not the program."""


class InputError(ValueError):
    """What the user gave cannot be used; the message says what, where, what was got and what is allowed.

    The command line turns it into one line on stderr and exit code 2.
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it: the line, as on the command line."""
        return [f"cdipipe: {' '.join(str(self).split())}"]
