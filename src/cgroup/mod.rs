//! Control groups: makes, limits, asks and removes them. One reader, two writers (v2, v1).
