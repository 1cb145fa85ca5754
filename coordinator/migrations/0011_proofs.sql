-- Restore tests that went well. Each lies in its repository too, beside its point; this is what operators are shown.

CREATE TABLE proofs (
    point        TEXT NOT NULL REFERENCES points (id) ON DELETE CASCADE,
    session      TEXT NOT NULL,
    verified_at  TEXT NOT NULL,
    document     TEXT NOT NULL,
    PRIMARY KEY (point, session)
) STRICT;
