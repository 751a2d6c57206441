module github.com/runtocompletion/batch/contrib/pgstore/internal/crash

go 1.26.0

require (
	github.com/jackc/pgx/v5 v5.13.0
	github.com/runtocompletion/batch v0.1.0
	github.com/runtocompletion/batch/contrib/cron v0.1.0
	github.com/runtocompletion/batch/contrib/pgstore v0.1.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/robfig/cron/v3 v3.0.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)
