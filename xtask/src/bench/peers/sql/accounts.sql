-- Day 2 of pgbench's accounts: 1 % updated at random places, 0.5 % deleted, 2 % appended.
DELETE FROM pgbench_accounts WHERE mod(hashint8extended(aid, 78) & 9223372036854775807, 1000) < 5;
UPDATE pgbench_accounts SET abalance = aid % 9973 - 5000 WHERE mod(hashint8extended(aid, 77) & 9223372036854775807, 1000) < 10;
INSERT INTO pgbench_accounts (aid, bid, abalance, filler)
    SELECT last + n, 1 + n % 10, 0, '' FROM (SELECT max(aid) AS last FROM pgbench_accounts) AS l, LATERAL generate_series(1, last / 50) AS n;
