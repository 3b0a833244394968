//! What `try` attempts, from inside a container and from outside.
