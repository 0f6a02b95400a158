package testprometheus

import "testing"

func TestCheck(t *testing.T) {
	known := Known(t)
	for query, good := range map[string]bool{
		`sum by (feed) (rate(brotally_records_read_total[5m]))`:                           true,
		`histogram_quantile(0.5, sum by (le) (rate(brotally_commit_seconds_bucket[5m])))`: true,
		`go_goroutines{job="brotally"}`:                                                   true,
		`sum by (instance) (up)`:                                                          true,
		`sum without (feed) (brotally_lag_records)`:                                       true,
		`sum by (feed) (brotally_records_total)`:                                          false, // no such metric
		`brotally_commit_seconds`:                                                         false, // is a histogram
		`brotally_lag_records{table="dns_counts"}`:                                        false,
		`sum by (table) (brotally_lag_records)`:                                           false,
		`sum by (feed) (sum by (topic) (brotally_lag_records))`:                           false, // is gone by then
		`sum by (feed (brotally_lag_records)`:                                             false,
	} {
		if err := Check(query, known); (err == nil) != good {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestWithoutThreshold(t *testing.T) {
	if got, err := WithoutThreshold("sum(up) / 2 > 3"); err != nil || got != "sum(up) / 2" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := WithoutThreshold("sum(up)"); err == nil {
		t.Errorf("got %q", got)
	}
}
