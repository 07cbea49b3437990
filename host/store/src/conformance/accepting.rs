//! Stories of requests and replies.
