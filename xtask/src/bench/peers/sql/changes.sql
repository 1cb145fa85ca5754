-- Day 2 of every table: one row in a hundred updated at random places, one in two hundred deleted.
DO $$
DECLARE
    leaf regclass;
BEGIN
    FOR leaf IN
        SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = 'mix'::regnamespace AND c.relkind = 'r' AND c.relname <> 'vocabulary'
        ORDER BY c.relname
    LOOP
        EXECUTE format('DELETE FROM %s WHERE mod(mix.hash(id, 78), 1000) < 5', leaf);
        EXECUTE format('UPDATE %s SET amount = amount + 1, changed = timestamptz ''2026-06-02'' + mod(id, 86400) * interval ''1 second'' '
            'WHERE mod(mix.hash(id, 77), 1000) < 10', leaf);
    END LOOP;
END
$$;
