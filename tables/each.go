package tables

import (
	"iter"

	"github.com/brotally/brotally/feeds"
)

// Streams reports whether the rows of the answer can be given out as they are found: without ORDER BY, GROUP BY and DISTINCT.
func (s *Select) Streams() bool { return !s.plan.grouped && !s.distinct && len(s.order) == 0 }

// Each is Run for a look-up that [Select.Streams]: it calls fn with each row of the answer instead of keeping them, and with the
// columns of it that are estimates where they would be exact. Both are valid during the call; when fn returns false, that was the
// last row. Errors are about parameters.
func (s *Select) Each(rows iter.Seq[[]feeds.Value], params []feeds.Value, fn func(row []feeds.Value, estimates []int) (more bool)) error {
	visible, marks := len(s.Columns), len(s.marks)
	var estimates []int
	_, err := s.run(rows, params, &collector{give: func(row []feeds.Value) bool {
		estimates = estimates[:0]
		for i, mark := range row[len(row)-marks:] {
			if mark.IsTrue() {
				estimates = append(estimates, s.marks[i])
			}
		}
		return fn(row[:visible:visible], estimates)
	}})
	return err
}
