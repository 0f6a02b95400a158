package tables

// LimitDistinct makes count(DISTINCT x) of t exact up to that many values only, and cuts partials into parts of about that
// many bytes: for tests of what lies beyond, before anything is computed with t.
func (t *Table) LimitDistinct(values, partBytes int) {
	for _, a := range t.plan.stored {
		if k, ok := a.kernel.(countDistinct); ok {
			k.bounds = distinctBounds{values: values, inline: partBytes, part: partBytes}
			a.kernel = k
		}
	}
	t.plan.arrangeRows()
}
