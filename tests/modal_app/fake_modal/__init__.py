"""A Modal of our own on loopback, for the real `modal` client and container runtime to talk to.

What runs is Modal's own: the command line, argument pickling, uploads, imports in the container, retries' inputs,
volume commits. What is made up: the server. It builds no images and has no GPUs, so nothing here says that an image
builds, that a GPU is to be had, or what it costs.
"""
