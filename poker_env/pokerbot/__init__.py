"""The opponent of an earlier bot, github.com/jonrxu/pokerbot: its game, what its networks see, how it chose."""
