-- Rows of every table. `:from_x` to `:to_x` are the ids of table x; `:total` is how many the year of telemetry has.
INSERT INTO mix.orders (id, customer, state, amount, placed, changed, comment)
    SELECT n, 1 + h % 200000, (ARRAY['new', 'paid', 'sent', 'returned'])[1 + (h >> 20) % 4], (h >> 24) % 1000000 / 100.0,
           timestamptz '2025-01-01' + n * interval '7 seconds', timestamptz '2026-06-01' + (h >> 8) % 86400 * interval '1 second',
           mix.phrase(words, h) || ' ' || mix.phrase(words, g)
    FROM (
        SELECT n, mix.hash(n, 1) AS h, mix.hash(n, 2) AS g, words FROM generate_series(:from_orders::bigint, :to_orders) AS n
        CROSS JOIN (SELECT array_agg(word ORDER BY n) AS words FROM mix.vocabulary) AS v OFFSET 0
    ) AS r;
INSERT INTO mix.documents (id, amount, changed, content)
    SELECT n, h % 100000 / 10.0, timestamptz '2026-06-01' + (h >> 8) % 86400 * interval '1 second',
           jsonb_build_object('title', mix.phrase(words, h), 'number', n, 'score', (g % 10000) / 100.0, 'key', md5(n::text),
               'tags', jsonb_build_array(words[1 + h % 64], words[1 + g % 64], words[1 + (g >> 9) % 64]), 'open', h % 3 = 0,
               'body', mix.phrase(words, g) || ', ' || mix.phrase(words, h # g) || '. ' || mix.phrase(words, (h >> 3) # g) || '.')
    FROM (
        SELECT n, mix.hash(n, 3) AS h, mix.hash(n, 4) AS g, words FROM generate_series(:from_documents::bigint, :to_documents) AS n
        CROSS JOIN (SELECT array_agg(word ORDER BY n) AS words FROM mix.vocabulary) AS v OFFSET 0
    ) AS r;
INSERT INTO mix.telemetry (id, at, sensor, value, amount, changed)
    SELECT n, timestamptz '2026-01-01' + n * (interval '365 days' / :total), h % 500, 20 + (h >> 9) % 10000 / 997.0::double precision,
           (h >> 24) % 100000 / 1000.0, timestamptz '2026-06-01' + (h >> 8) % 86400 * interval '1 second'
    FROM (SELECT n, mix.hash(n, 5) AS h FROM generate_series(:from_telemetry::bigint, :to_telemetry) AS n OFFSET 0) AS r;
INSERT INTO mix.files (id, name, amount, changed, content)
    SELECT n, 'file-' || n || '.bin', h % 1000, timestamptz '2026-06-01' + (h >> 8) % 86400 * interval '1 second',
           (SELECT string_agg(decode(md5((n * 64 + part)::text), 'hex') || convert_to(mix.phrase(words, mix.hash(n * 64 + part, 7)), 'UTF8'), '')
            FROM generate_series(1, 8 + h % 24) AS part)
    FROM (
        SELECT n, mix.hash(n, 6) AS h, words FROM generate_series(:from_files::bigint, :to_files) AS n
        CROSS JOIN (SELECT array_agg(word ORDER BY n) AS words FROM mix.vocabulary) AS v OFFSET 0
    ) AS r;
DO $$
BEGIN
    FOR number IN 1..1000 LOOP
        EXECUTE format($rows$
            INSERT INTO mix.small_%s SELECT n, 'label ' || n || ' ' || md5(n::text || %s), h %% 1000 / 10.0,
                timestamptz '2026-06-01' + (h >> 8) %% 86400 * interval '1 second', jsonb_build_object('n', n, 'kind', h %% 9, 'table', %s)
            FROM (SELECT n, mix.hash(n, 100 + %s) AS h FROM generate_series(:from_small::bigint, :to_small) AS n OFFSET 0) AS r
        $rows$, to_char(number, 'FM0000'), number, number, number);
    END LOOP;
END
$$;
