sys.Label LIKE '%bus%' ESCAPE '!' OR user.tag NOT IN ('queue', p('b'), newid()) AND NOT (EXISTS([a b]) AND c IS NOT NULL)
