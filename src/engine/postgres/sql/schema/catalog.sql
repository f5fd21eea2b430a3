SELECT pg_catalog.json_build_object(
  'name', c.relname,
  'kind', c.relkind,
  'view', CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid, true) END,
  'columns', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'number', a.attnum,
      'name', a.attname,
      'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
      'category', t.typcategory,
      'base', t.typname,
      'not_null', a.attnotnull,
      'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid),
      'generated', a.attgenerated <> '',
      'identity', a.attidentity,
      'collation', (SELECT k.collname FROM pg_catalog.pg_collation k WHERE k.oid = a.attcollation)
    ) ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  ),
  'constraints', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', k.conname,
      'kind', k.contype,
      'columns', k.conkey,
      'definition', pg_catalog.pg_get_constraintdef(k.oid),
      'check', pg_catalog.pg_get_expr(k.conbin, k.conrelid),
      'to_table', (SELECT f.relname FROM pg_catalog.pg_class f WHERE f.oid = k.confrelid),
      'to_columns', (
        SELECT pg_catalog.json_agg(fa.attname ORDER BY p.place)
        FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS p(number, place)
        JOIN pg_catalog.pg_attribute fa ON fa.attrelid = k.confrelid AND fa.attnum = p.number
      ),
      'on_delete', k.confdeltype,
      'on_update', k.confupdtype,
      'deferred', k.condeferred
    ) ORDER BY k.conname)
    FROM pg_catalog.pg_constraint k
    WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'f', 'c')
  ),
  'indexes', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', ic.relname,
      'unique', i.indisunique,
      'primary', i.indisprimary,
      'of_constraint', EXISTS (
        SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype = 'u'
      ),
      'partial', pg_catalog.pg_get_expr(i.indpred, i.indrelid),
      'sql', pg_catalog.pg_get_indexdef(i.indexrelid),
      'columns', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
          'number', i.indkey[n - 1],
          'expression', pg_catalog.pg_get_indexdef(i.indexrelid, n, true),
          'descending', (i.indoption[n - 1] & 1) = 1
        ) ORDER BY n)
        FROM pg_catalog.generate_series(1, i.indnkeyatts::int) AS n
      )
    ) ORDER BY ic.relname)
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
    WHERE i.indrelid = c.oid
  ),
  'triggers', (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', g.tgname,
      'type', g.tgtype,
      'sql', pg_catalog.pg_get_triggerdef(g.oid)
    ) ORDER BY g.tgname)
    FROM pg_catalog.pg_trigger g
    WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
  )
)
FROM pg_catalog.pg_class c
WHERE c.relnamespace = 'public'::pg_catalog.regnamespace
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend e
    WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e'
  )
ORDER BY c.relname
