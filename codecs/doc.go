// Package codecs turns bytes into records and results into bytes: the JSON that Bro's Kafka plugin writes, Zeek's log
// files, the packs and rows that the processors exchange, and the result topics' keys and values. It knows nothing of
// Kafka.
//
//	layout := &feeds.Layout{Feed: "dns"}
//	host := layout.Slot(dns.Columns[2]) // id.orig_h
//	decoder := codecs.NewJSON(layout)
//	var rec feeds.Record
//	if err := decoder.Decode(message, &rec); err == nil {
//		fmt.Println(rec.Values[host])
//	}
//
// # What is a bad record
//
// A record is bad when it is not one JSON object, whatever its fields: its error is a [*DecodeError]. A field that is
// not of its column's type makes no bad record: it is NULL, and counted in the record's BadFields.
package codecs
