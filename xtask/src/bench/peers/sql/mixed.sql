-- A database of many kinds of columns. Content depends on row numbers alone, so every run has the same rows.
CREATE SCHEMA mix;
CREATE FUNCTION mix.hash(n bigint, salt bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN hashint8extended(n, salt) & 9223372036854775807;
CREATE TABLE mix.vocabulary (n int PRIMARY KEY, word text NOT NULL);
INSERT INTO mix.vocabulary
    SELECT n, translate(left(md5(n::text), 3 + n % 7), '0123456789', 'aeioulnrst') FROM generate_series(1, 256) AS n;
CREATE FUNCTION mix.phrase(words text[], h bigint) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN words[1 + (h & 255)] || ' ' || words[1 + ((h >> 8) & 255)] || ' ' || words[1 + ((h >> 16) & 255)] || ' '
        || words[1 + ((h >> 24) & 255)] || ' ' || words[1 + ((h >> 32) & 255)] || ' ' || words[1 + ((h >> 40) & 255)] || ' '
        || words[1 + ((h >> 48) & 255)];

CREATE TABLE mix.orders (
    id bigint PRIMARY KEY,
    customer bigint NOT NULL,
    state text NOT NULL,
    amount numeric NOT NULL,
    placed timestamptz NOT NULL,
    changed timestamptz NOT NULL,
    comment text NOT NULL
);
CREATE TABLE mix.documents (
    id bigint PRIMARY KEY,
    amount numeric NOT NULL,
    changed timestamptz NOT NULL,
    content jsonb NOT NULL
);
CREATE TABLE mix.telemetry (
    id bigint,
    at timestamptz,
    sensor int NOT NULL,
    value double precision NOT NULL,
    amount numeric NOT NULL,
    changed timestamptz NOT NULL,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
DO $$
BEGIN
    FOR month IN 1..12 LOOP
        EXECUTE format('CREATE TABLE mix.telemetry_%s PARTITION OF mix.telemetry FOR VALUES FROM (%L) TO (%L)', to_char(month, 'FM00'),
            make_date(2026, month, 1), make_date(2026, month, 1) + interval '1 month');
    END LOOP;
    FOR number IN 1..1000 LOOP
        EXECUTE format('CREATE TABLE mix.small_%s (id bigint PRIMARY KEY, label text NOT NULL, amount numeric NOT NULL, '
            'changed timestamptz NOT NULL, attributes jsonb NOT NULL)', to_char(number, 'FM0000'));
    END LOOP;
END
$$;
CREATE TABLE mix.telemetry_later PARTITION OF mix.telemetry DEFAULT;
CREATE TABLE mix.files (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    amount numeric NOT NULL,
    changed timestamptz NOT NULL,
    content bytea NOT NULL
);
