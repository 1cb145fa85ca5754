-- Which request an operator's idempotency key stands for, and what that was answered with. The request is a SHA-256.
CREATE TABLE idempotency_keys (
    key         TEXT PRIMARY KEY,
    request     TEXT NOT NULL,
    what        TEXT NOT NULL,
    answer      TEXT,
    claimed_at  TEXT NOT NULL
) STRICT;
