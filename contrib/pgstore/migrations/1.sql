-- Who works under which name, until when by the clock of this server, and how often
-- somebody has begun to.
CREATE TABLE {schema}.claims (
    name    text PRIMARY KEY,
    token   bigint NOT NULL,
    number  bigint NOT NULL DEFAULT 0, -- of the last commit with that token
    holder  text NOT NULL,
    expires timestamptz -- NULL: nobody works
) WITH (fillfactor = 50);

CREATE TABLE {schema}.records (
    name  text NOT NULL,
    job   bytea NOT NULL,
    key   bytea NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (name, job, key)
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0.05,
    toast.autovacuum_vacuum_cost_delay = 0
);

-- Jobs that transactions of users have created, until whoever works has them.
CREATE TABLE {schema}.created (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    spec text NOT NULL,
    job  bytea -- as it was stored last; NULL: not yet
);

CREATE INDEX ON {schema}.created (job) WHERE job IS NOT NULL;

-- commit makes changes, and renews the lease, for the holder of a token; without one,
-- as long as nobody has a claim. Otherwise it changes nothing and returns false. A commit
-- that comes late, over a connection that was given up, is behind later ones by its number.
CREATE FUNCTION {schema}.commit(
    who text, tok bigint, num bigint, lease interval, channel text,
    gone bytea[],
    old_jobs bytea[], old_keys bytea[],
    new_jobs bytea[], new_keys bytea[], new_values bytea[],
    stored_ids bigint[], stored_jobs bytea[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF tok IS NULL THEN
        PERFORM FROM {schema}.claims WHERE name = who AND expires > clock_timestamp() FOR SHARE;
        IF FOUND THEN
            RETURN false;
        END IF;
    ELSE
        UPDATE {schema}.claims SET expires = clock_timestamp() + lease, number = num
            WHERE name = who AND token = tok AND number < num AND expires IS NOT NULL;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    IF cardinality(gone) > 0 THEN
        DELETE FROM {schema}.records WHERE name = who AND job = ANY (gone);
        UPDATE {schema}.created SET job = NULL WHERE job = ANY (gone);
    END IF;
    IF cardinality(old_jobs) > 0 THEN
        DELETE FROM {schema}.records r USING unnest(old_jobs, old_keys) AS o (job, key)
            WHERE r.name = who AND r.job = o.job AND r.key = o.key;
    END IF;
    IF cardinality(new_jobs) > 0 THEN
        INSERT INTO {schema}.records AS r (name, job, key, value)
            SELECT who, n.job, n.key, n.value FROM unnest(new_jobs, new_keys, new_values) AS n (job, key, value)
            ON CONFLICT (name, job, key) DO UPDATE SET value = excluded.value;
        DELETE FROM {schema}.created WHERE job = ANY (new_jobs);
    END IF;
    IF cardinality(stored_ids) > 0 THEN
        UPDATE {schema}.created c SET job = s.job FROM unnest(stored_ids, stored_jobs) AS s (id, job)
            WHERE c.name = who AND c.id = s.id;
    END IF;
    IF channel IS NOT NULL THEN
        PERFORM pg_notify(channel, 'changed');
    END IF;
    RETURN true;
END
$$;
