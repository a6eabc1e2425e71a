-- What follows would fail later, at the first message, where text is not Unicode.
DO $$ BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'the database must be encoded in UTF8, not in %', getdatabaseencoding();
    END IF;
END $$;

-- The words of a message in lower case without accents and other marks, and its conversation's id
-- behind a sign that no word begins with, so that a search reads its own rooms only. Bounded, because
-- an index entry is (1 MB): a message that cannot be indexed could not be sent. Punctuation goes
-- first, because the parser would take an address or a path for one word.
--
-- Lower case is a matter of collation, and a database may have one that knows no letters but those
-- of English: then one that knows them all is used, where the server has it.
DO $migration$
DECLARE
    collation_name text := COALESCE(
        (SELECT min(collname) FROM pg_collation
         WHERE collname = 'und-x-icu' AND collnamespace = 'pg_catalog'::regnamespace),
        (SELECT min(collname) FROM pg_collation
         WHERE collname = 'pg_c_utf8' AND collnamespace = 'pg_catalog'::regnamespace),
        'default');
BEGIN
    EXECUTE format($create$
        CREATE FUNCTION porchlight_words(conversation_id text, content text) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
        AS $words$
            SELECT to_tsvector('pg_catalog.simple', left(lower(regexp_replace(regexp_replace(
                    normalize(left(content, 50000), NFKD), '[\u0300-\u036f]', '', 'g'),
                    '[!-/:-@[-`{-~]', ' ', 'g')
                    COLLATE pg_catalog.%I), 50000))
                || array_to_tsvector(ARRAY['=' || conversation_id])
        $words$
    $create$, collation_name);
END $migration$;

-- Kept with each message in its own transaction. Made from all messages now, which takes a while
-- and holds back new ones where there are millions.
CREATE INDEX messages_by_words ON messages USING gin (porchlight_words(conversation_id, content));
