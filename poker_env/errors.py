"""The one error type meant for users."""


class UserError(Exception):
    """What a user asked for can't be done.

    The message is one line: what is wrong, with the value, and what to do. The recipes print it without a traceback
    and exit with code 2.
    """


def first_line(error: BaseException) -> str:
    """What another library's exception says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
