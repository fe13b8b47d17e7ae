(a * -2 + 10 / 3) % 4 <= 1.5E3 AND "b" <> 'it''s' AND TRUE = FALSE
