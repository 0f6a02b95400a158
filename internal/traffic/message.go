package traffic

import "time"

// Message is one record as Bro's Kafka plugin sends it. Its key is null.
type Message struct {
	Feed  string    // dns, conn, http, ssl, x509, smtp or files; also the name of the topic
	Value []byte    // one JSON object, no newline; the caller's to keep
	Time  time.Time // virtual time at which the sensor writes it; never before the Time of the message before

	// Poison says that it is no record: whoever decodes it has a dead letter.
	Poison bool

	origH     string // id.orig_h of a dns record
	qtypeName string // qtype_name of a dns record; empty when it has none, for Zeek never writes an empty one
}

// message returns what it has the sensor write.
func (it item) message() Message {
	return Message{
		Feed:      it.feed,
		Value:     it.value,
		Time:      time.UnixMicro(it.at).UTC(),
		origH:     it.origH,
		qtypeName: it.qtypeName,
		Poison:    it.poison,
	}
}

// Feeds returns the names of the feeds that a Network writes, in the order a newcomer would read them.
func Feeds() []string {
	return []string{"dns", "conn", "http", "ssl", "x509", "smtp", "files"}
}
