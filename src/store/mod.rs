//! What outlives a command: container state and the registry of id ranges.
