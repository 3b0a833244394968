//! What particular calls are answered.
