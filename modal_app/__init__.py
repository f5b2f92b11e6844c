"""The recipes on Modal GPUs. Each app ships this project's folders to a container and runs a recipe there."""
