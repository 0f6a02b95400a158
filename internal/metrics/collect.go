package metrics

import (
	"strconv"

	"github.com/brotally/brotally/codecs"
	"github.com/brotally/brotally/internal/kafka"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/tables"
	"github.com/brotally/brotally/views"
)

// outcomes are what becomes of records; every record that is read has exactly one.
func outcomes(c codecs.Counts) map[string]int64 {
	return map[string]int64{"counted": c.Counted, "filtered": c.Filtered, "other_feed": c.OtherFeed, "no_time": c.NoTime, "dead_lettered": c.DeadLettered}
}

func stagesOf(p *processors.Processors) collector {
	return collector{
		metrics: []*Metric{recordsRead, otherFeed, badFields, lostRecords, skewed, deadLetters, uncopied, offset, endOffset, lagRecords, sourceTime,
			tableRecords, tableOverflows, tableCutKeys, streamRecords, streamOverflows, streamCutKeys,
			stageState, stageClaims, rebalances, stageFailures, partialsLag, definitionsWaiting,
			tableGroups, tableBytes, tableTime, tableClock, tableLate, tableFull, tableDue, tableHeard, tableRestored, tableRestore},
		collect: func(s sink) {
			now := p.Snapshot()
			s.set(definitionsWaiting, float64(now.Defined-now.Started))
			for i := range now.Stages {
				s.stage(&now.Stages[i])
			}
			for _, d := range now.Definitions {
				s.definition(d)
			}
		},
	}
}

func (s sink) stage(st *processors.StageStatus) {
	for _, state := range processors.States() {
		s.set(stageState, flag(state == st.State), st.Stage, st.Group, state.String())
	}
	s.set(stageClaims, float64(len(st.Claims)), st.Stage, st.Group)
	s.set(rebalances, float64(st.Rebalances), st.Stage, st.Group)
	// What has not happened yet is there with 0: else Prometheus would not see the first one as an increase.
	for _, class := range []kafka.Class{kafka.Fatal, kafka.Retry, kafka.Rejoin, kafka.Fenced} {
		s.set(stageFailures, float64(st.Failures[class.String()]), st.Stage, st.Group, class.String())
	}
	if st.Table != "" {
		s.rows(st)
		return
	}
	topics := map[string]bool{}
	for source, p := range st.Sources {
		topics[source.Topic] = true
		labels := []string{st.Pass, st.Feed, source.Topic, strconv.Itoa(int(source.Partition))}
		s.set(recordsRead, float64(p.Counts.Read), labels...)
		s.set(otherFeed, float64(p.Counts.OtherFeed), labels...)
		s.set(badFields, float64(p.Counts.BadFields), labels...)
		s.set(lostRecords, float64(p.Counts.Lost), labels...)
		s.set(skewed, float64(p.Counts.Skewed), labels...)
		if p.NewestTime != codecs.NoTime {
			s.set(sourceTime, micros(p.NewestTime), labels...)
		}
	}
	s.set(uncopied, float64(st.Uncopied), st.Pass, st.Feed)
	for topic := range topics {
		for _, reason := range append(codecs.DecodeCodes(), processors.OtherLetter) {
			s.set(deadLetters, float64(st.Letters[topic][reason]), st.Pass, st.Feed, topic, reason)
		}
	}
	for _, c := range st.Claims {
		labels := []string{st.Pass, st.Feed, c.Topic, strconv.Itoa(int(c.Partition))}
		s.set(offset, float64(c.Offset), labels...)
		s.set(endOffset, float64(c.End), labels...)
		s.set(lagRecords, float64(c.End-c.Offset), labels...)
	}
}

// rows is what only stage 2 has.
func (s sink) rows(st *processors.StageStatus) {
	lag := int64(0)
	for _, c := range st.Claims {
		lag += c.End - c.Offset
	}
	s.set(partialsLag, float64(lag), st.Table)
	s.set(tableGroups, float64(st.Rows.Groups), st.Table)
	s.set(tableBytes, float64(st.Rows.Bytes), st.Table)
	s.set(tableRestored, float64(st.Rows.Restored), st.Table)
	s.set(tableRestore, float64(st.Rows.Remaining), st.Table)
	if st.Rows.NewestTime != codecs.NoTime {
		s.set(tableTime, micros(st.Rows.NewestTime), st.Table)
	}
	s.set(tableLate, float64(st.Rows.Late), st.Table)
	s.set(tableFull, float64(st.Rows.Full), st.Table)
	s.set(tableDue, float64(st.Rows.Due), st.Table)
	if at := st.Rows.Clock; at != tables.NoClock && at != tables.EndOfTime {
		s.set(tableClock, micros(at), st.Table)
	}
	if st.Rows.WallTime > 0 {
		s.set(tableHeard, millis(st.Rows.WallTime), st.Table)
	}
}

func (s sink) definition(d processors.DefinitionStatus) {
	records, overflows, cutKeys := tableRecords, tableOverflows, tableCutKeys
	if d.Kind == tables.KindStream {
		records, overflows, cutKeys = streamRecords, streamOverflows, streamCutKeys
	}
	for topic, c := range d.Counts {
		for outcome, n := range outcomes(c) {
			s.set(records, float64(n), d.Name, topic, outcome)
		}
		s.set(overflows, float64(c.Overflows), d.Name, topic)
		s.set(cutKeys, float64(c.CutKeys), d.Name, topic)
	}
}

func viewsOf(v *views.Views) collector {
	return collector{
		metrics: []*Metric{viewReady, viewGroups, viewBytes, viewTime, viewHeard, viewRestore, viewRecords, scanning, listening},
		collect: func(s sink) {
			s.set(scanning, float64(v.Scanning()))
			s.set(listening, float64(v.Listening()))
			for _, view := range v.All() {
				s.view(view)
			}
		},
	}
}

func (s sink) view(v *views.View) {
	name, asOf := v.Table().Name, v.AsOf()
	ready := v.Ready()
	s.set(viewReady, flag(ready), name)
	s.set(viewGroups, float64(v.Len()), name)
	s.set(viewBytes, float64(v.Bytes()), name)
	done, total := v.Recovery()
	if ready {
		done = total
	}
	s.set(viewRestore, float64(total-done), name)
	for outcome, n := range outcomes(asOf.Counts) {
		s.set(viewRecords, float64(n), name, outcome)
	}
	if asOf.EventTime != codecs.NoTime {
		s.set(viewTime, micros(asOf.EventTime), name)
	}
	if heard := v.Heard(); !heard.IsZero() {
		s.set(viewHeard, float64(heard.UnixMilli())/1e3, name)
	}
}
