// Package pipeline specifies what the whole program does: one script a subject in testdata, which says what is sent and
// what the tables, the result topics and HTTP then hold. The real program runs as child processes, against a broker in the
// test's process or, with BROKERS=host:9092, against yours. -update rewrites what the scripts expect; the diff is the review.
//
// A script is a list of steps. A step is a line with a verb; lines indented by two blanks belong to it. Those of a step that
// does something are its input, those of a step that looks at something are what it expects. Lines that begin with # are
// comments.
//
// # Doing
//
//	feed NAME [partitions=N] [topics=T:N,..]   makes the feed's topic, or adds partitions; topics: when it is not called like the feed;
//	                                           NAME * is all feeds that have no topics of their own
//	table CREATE TABLE ..                      puts the definition into the file that run is given, or replaces the one of that name
//	stream CREATE STREAM ..                    the same for a stream
//	drop TABLE                                 takes it out of the file
//	topic NAME [partitions=N] [SETTING=VALUE]  makes a topic that is not Brotally's
//	delete TOPIC                               deletes it
//	produce TOPIC/N [at=TIME]                  sends records, a line each, with their Kafka timestamp if it matters
//	schema SUBJECT JSON                        puts an Avro schema into the script's registry, which is made with the first: it has id 1
//	expire TOPIC/N OFFSET                      deletes the records before the offset, as retention does
//	start [NAME] [FLAG ..]                     starts an instance (a) and waits until it says what it reads
//	stop [NAME]                                ends it as Ctrl-C does, and waits
//	kill [NAME]                                ends it as kill -9 does, and waits
//	pause [NAME], resume [NAME]                stops it in its tracks, and lets it go on
//	advance DURATION                           moves the clock of all instances; nobody sleeps
//	corrupt TABLE KEY KEY                      gives the row whose key has the one text the value of the row whose key has the other, in
//	                                           the changelog alone: who runs does not see it
//	crash [NAME] STAGE:POINT[:N] [FLAG ..]     starts it to die when it comes to the point for the N-th time (1), and waits
//	                                           until it has; the points are those of package internal/fault
//
// # Looking
//
// Every instance that runs and answers is asked, as soon as its table reflects everything that was produced, and has to say
// the same. Nothing is asked twice in the hope of another answer.
//
//	expect TABLE           its rows over HTTP, in the order of its keys
//	query SELECT ..        a look-up; rows in the order of the answer if there is ORDER BY, else sorted
//	progress TABLE         what became of each source partition's records; zeros are left out
//	http METHOD PATH [BODY] [POINTER ..]   status and body, or what JSON pointers find in it
//	result TOPIC           a result topic: key => last value, read_committed; (gone) is a tombstone
//	result live TOPIC      the same without tombstones, where it depends on the moments of commits which there are
//	result every TOPIC     every value of each key, in the order in which they came: where it does not depend on commits
//	records TOPIC          a stream's topic: key => value of every record, read_committed, sorted
//	dead-letters           the dead-letter topic: key, reason, record; what has come again is (replayed)
//	catalog                the catalog: each table's result and passes
//	topics                 topics that the script has not made: partitions, and the settings that they were made with
//	groups                 consumer groups
//	says NAME TEXT         waits until the instance has logged a line with the text, and expects nothing
//	brotally COMMAND ..    runs a command to its end: exit code and output; run gets the definitions
//
// NULL, true, numbers and plain words are themselves; a text that is empty, has blanks or looks like something else is in
// quotes. What a text file cannot show is written in angle brackets, in records to be sent, too: <U+202E> is a character,
// <0xff> a byte that is no UTF-8, <x*2048> a character many times. A record <null> has no value, <empty> an empty one.
//
// count(DISTINCT x) is exact up to 10 values in scripts, so that they can be read that go beyond.
//
// # Crashing
//
// Against a real broker, or with -crashing, each script runs a second time, as NAME/crashing; against the embedded one those do whose
// names begin with crash-. Between any two steps all instances are killed and started again,
// but not right before stop and kill. Everything has to be as it says all the same.
package pipeline
