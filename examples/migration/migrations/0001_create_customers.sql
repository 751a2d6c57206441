CREATE TABLE customers (
    id    INTEGER PRIMARY KEY,
    name  TEXT NOT NULL,
    email TEXT NOT NULL
);

INSERT INTO customers (id, name, email) VALUES
    (1, 'Ada Lovelace',    'ada@example.com'),
    (2, 'Grace Hopper',    ' Grace@Example.com'),
    (3, 'Annie Easley',    'annie@example.com '),
    (4, 'Barbara Liskov',  'BARBARA@example.com'),
    (5, 'Radia Perlman',   'radia@example.com');
