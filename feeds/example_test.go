package feeds_test

import (
	"fmt"

	"github.com/brotally/brotally/feeds"
)

func ExampleLookup() {
	dns, _ := feeds.Lookup("dns")
	i, _ := dns.Column("id_orig_h") // some sites write underscores
	fmt.Println(dns.Columns[i].Name, dns.Columns[i].Type)
	// Output: id.orig_h inet
}

// A log that is not built in gets its columns from its records.
func ExampleDiscover() {
	badges, err := feeds.Discover("badges",
		[]byte(`{"ts":1.5,"id.orig_h":"10.0.0.1","holder":"ann","delay":0.25}`),
		[]byte(`{"ts":2.5,"id.orig_h":"10.0.0.1","holder":"bob","tries":3}`),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range badges.Columns {
		fmt.Println(c.Name, c.Type)
	}
	// Output:
	// ts timestamp
	// id.orig_h inet
	// holder string
	// delay double
	// tries bigint
}
