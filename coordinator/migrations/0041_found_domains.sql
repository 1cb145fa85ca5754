-- Domains of a repository of which this installation knows no instance: found by an import. What is in them is pruned and
-- listed as in any other.

CREATE TABLE found_domains (
    repository  TEXT NOT NULL REFERENCES repositories (name),
    domain      TEXT NOT NULL,
    PRIMARY KEY (repository, domain)
) STRICT;
