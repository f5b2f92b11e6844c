"""A trained adapter as a repository on the Hugging Face Hub."""
