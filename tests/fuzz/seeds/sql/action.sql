SET a = a / 2; SET sys.Label = b + 'x' REMOVE c; REMOVE user.[d e];
