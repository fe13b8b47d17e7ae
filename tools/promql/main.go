// Answers queries of Prometheus about series that it is given: {"load": …, "queries": [{"expr": …, "at": seconds}]} on standard input, where
// `load` is in the language of Prometheus' own tests; for each query a list of {"labels": …, "value": …} on standard output.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
)

type asked struct {
	Load    string `json:"load"`
	Queries []struct {
		Expr string `json:"expr"`
		At   int64  `json:"at"`
	} `json:"queries"`
}

type sample struct {
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
}

// loading takes the place of a test of Go: the first fault ends the program.
type loading struct{}

func (loading) Helper() {}

func (loading) Errorf(format string, values ...any) { fail(fmt.Errorf(format, values...)) }

func (loading) FailNow() { os.Exit(1) }

func fail(fault error) {
	fmt.Fprintln(os.Stderr, fault)
	os.Exit(1)
}

func main() {
	var work asked
	if err := json.NewDecoder(os.Stdin).Decode(&work); err != nil {
		fail(err)
	}
	storage := promqltest.LoadedStorage(loading{}, work.Load)
	defer storage.Close()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 100_000, Timeout: 10 * time.Second})
	answers := make([][]sample, 0, len(work.Queries))
	for _, each := range work.Queries {
		query, err := engine.NewInstantQuery(context.Background(), storage, nil, each.Expr, time.Unix(each.At, 0))
		if err != nil {
			fail(err)
		}
		vector, err := query.Exec(context.Background()).Vector()
		if err != nil {
			fail(err)
		}
		answer := make([]sample, 0, len(vector))
		for _, found := range vector {
			answer = append(answer, sample{found.Metric.Map(), found.F})
		}
		answers = append(answers, answer)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fail(err)
	}
}
