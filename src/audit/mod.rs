//! The record of what was decided, one JSON object per line, in a file of its own.
