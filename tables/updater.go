package tables

// Updater adds partials to the rows of one partition, stage 2's work, and says which rows that changes. It belongs to one
// goroutine, which alone may change the rows.
type Updater struct {
	table    *Table
	rows     *Groups
	sessions *sessions // of the rows; nil without session windows
	scratch  State
	key      []byte
	log      valueLog

	limit int // rows; 0: any number

	// Of tables with a clock.
	due     *dueRows
	clock   int64 // how far the source has come with this commit
	newest  int64 // what changes now is of that time
	judged  int64 // where it stood before this commit: what was too late by then is
	unknown int64 // what it was when it was first known to this Updater: the last change of rows that nobody knows one of

	// Where one partial changes several rows, or several partials the same, changes are gathered until Flush.
	before map[string]before
	order  []string // the keys of before, as they came
}

// Change is what became of one row.
type Change struct {
	Key      string
	State    State // zero if it is gone
	Gone     bool  // its session has become part of another, or its time is over
	Shown    bool  // it is part of the result now: HAVING holds, and its window has closed if it has to
	WasShown bool  // it was before
	Settled  bool  // the result has the row and does not change any more: only what was too late is counted
}

// before is what a row was before it was changed.
type before struct{ existed, shown, closed bool }

// NewUpdater returns an Updater of rows, which stand at that clock. It returns an error when they are not of the table.
func (t *Table) NewUpdater(rows *Groups, clock int64) (*Updater, error) {
	u := &Updater{table: t, rows: rows, clock: clock, newest: clock, judged: clock, unknown: clock}
	w := t.plan.window
	if t.plan.lifetime != nil {
		u.due = newDueRows()
		if err := u.schedule(); err != nil {
			return nil, err
		}
	}
	if w == nil || w.Kind == Tumbling {
		return u, nil
	}
	u.before = map[string]before{}
	if w.Kind == Session {
		u.sessions, u.scratch = newSessions(w), t.NewState()
		if l := t.plan.lifetime; l != nil {
			u.sessions.closed = func(s span) bool { return l.isLate(s.first, s.last, u.judged) }
		}
		if err := u.sessions.load(t.plan, rows); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// RecordValues makes the Updater say which values of count(DISTINCT x) become records of the changelog and which records are to
// be deleted. A key and a value are valid during the call.
func (u *Updater) RecordValues(added func(key []byte, number int, value []byte), left func(Leftover)) {
	u.log.added, u.log.left = added, left
}

// RecordRemoved makes the Updater say which of these records are to be deleted at once, for their row is gone and may come again.
func (u *Updater) RecordRemoved(removed func(key []byte, number int, value []byte)) {
	u.log.removed = removed
}

// site is where the values of a row are recorded; key is the row's, of a session the group's.
func (u *Updater) site(key []byte, last int64) site {
	return site{key: key, last: last, log: &u.log, session: u.sessions != nil}
}

// Add adds a partial to the row or, with hopping windows, to the rows that it is part of. changed is called for a row that
// no other partial of this commit can change, the others wait for Flush. late says that it came too late for all its windows: see
// [Table.Late]; one that is within the gap of a session which is open is not. Errors are changed's, or say that the key is not one of
// the table.
func (u *Updater) Add(key string, partial State, changed func(Change) error) (late bool, err error) {
	if _, late, err = u.table.Late(key, partial, u.judged); late && u.sessions != nil {
		var alone bool
		alone, err = u.isNewSession(key)
		late = alone
	}
	switch {
	case err != nil:
		return false, err
	case late:
		return true, u.addLate(key, partial, changed)
	}
	return false, u.add(key, partial, changed)
}

// isNewSession reports whether a partial would be a session of its own.
func (u *Updater) isNewSession(key string) (bool, error) {
	group, first, last, err := u.table.plan.cutWindow(key)
	if err != nil {
		return false, err
	}
	u.key = append(u.key[:0], group...)
	return u.sessions.isNew(u.key, first, last), nil
}

// add is Add of what is not late.
func (u *Updater) add(key string, partial State, changed func(Change) error) error {
	switch {
	case u.before == nil:
		if u.key = append(u.key[:0], key...); u.tooMany(u.key) {
			return u.addToOther(partial, changed)
		}
		state, was, err := u.touch(u.key)
		if err != nil {
			return err
		}
		u.table.plan.mergeRow(state, partial, u.site(u.key, 0))
		return u.report(key, state, was, changed)
	case u.sessions != nil:
		return u.addToSession(key, partial, changed)
	default:
		return u.addToWindows(key, partial, changed)
	}
}

// Flush calls changed for the rows that were changed since the last Flush and not reported.
func (u *Updater) Flush(changed func(Change) error) error {
	for _, key := range u.order {
		was := u.before[key]
		state, ok := u.rows.Get([]byte(key))
		var err error
		switch {
		case ok:
			err = u.report(key, state, was, changed)
		case was.existed:
			err = changed(Change{Key: key, Gone: true, WasShown: was.shown})
		}
		if err != nil {
			return err
		}
	}
	if len(u.order) > keepChanges {
		u.before, u.order = map[string]before{}, nil // clearing a map costs as much as it once held
		return nil
	}
	clear(u.before)
	u.order = u.order[:0]
	return nil
}

// keepChanges is for how many changed rows memory is kept from one commit to the next.
const keepChanges = 1 << 14

// touch returns the state of a row, which it makes if there is none, and what the row was before.
func (u *Updater) touch(key []byte) (State, before, error) {
	i, state, fresh := u.rows.upsert(key)
	l := u.table.plan.lifetime
	if l != nil && l.changed != nil {
		l.changed.set(state, u.newest)
	}
	if fresh {
		var err error
		if l != nil {
			err = u.await(i, string(key), state)
		}
		return state, before{}, err
	}
	shown, err := u.table.Shows(string(key), state)
	return state, before{existed: true, shown: shown, closed: l.isClosed(state)}, err
}

func (u *Updater) report(key string, state State, was before, changed func(Change) error) error {
	shown, err := u.table.Shows(key, state)
	if err != nil {
		return err
	}
	return changed(Change{Key: key, State: state, Shown: shown, WasShown: was.shown, Settled: was.closed})
}

// row is touch for rows that wait for Flush.
func (u *Updater) row(key []byte) (State, error) {
	if _, known := u.before[string(key)]; known {
		state, _ := u.rows.Upsert(key)
		return state, nil
	}
	state, was, err := u.touch(key)
	name := string(key)
	u.before[name] = was
	u.order = append(u.order, name)
	return state, err
}

// addToWindows adds a pane to all windows that it is part of.
func (u *Updater) addToWindows(key string, pane State, changed func(Change) error) error {
	w := u.table.plan.window
	group, start, _, err := u.table.plan.cutWindow(key)
	if err != nil {
		return err
	}
	l := u.table.plan.lifetime
	for n := w.Size / w.Advance; n > 0; n-- {
		u.key = w.appendWindow(append(u.key[:0], group...), start, 0)
		if l != nil && l.isLate(start, 0, u.judged) { // those before are, too
			return u.lateInWindows(group, start, int(n), l.rows(pane))
		}
		start -= w.Advance.Microseconds()
		if u.tooMany(u.key) {
			if err := u.addToOther(pane, changed); err != nil {
				return err
			}
			continue
		}
		state, err := u.row(u.key)
		if err != nil {
			return err
		}
		u.table.plan.mergeRow(state, pane, u.site(u.key, 0))
	}
	return nil
}

// addToSession adds a stretch of records to the session that they are in, or that they make of several.
func (u *Updater) addToSession(key string, partial State, changed func(Change) error) error {
	w := u.table.plan.window
	group, first, last, err := u.table.plan.cutWindow(key)
	if err != nil {
		return err
	}
	u.key = append(u.key[:0], group...)
	if u.full() && u.sessions.isNew(u.key, first, last) {
		return u.addToOther(partial, changed)
	}
	joined, gone := u.sessions.join(u.key, first, last)
	bounded := func(s span) []byte { return w.appendWindow(u.key[:len(group)], s.first, s.last) }

	// A session that has grown is another row. What the old ones held is kept in scratch, for rows share their memory.
	clear(u.scratch.W)
	u.scratch.drop()
	moved := false
	for _, old := range gone {
		if old.first == joined.first && old.last == joined.last {
			continue
		}
		moved = true
		u.key = bounded(old)
		state, err := u.row(u.key)
		if err != nil {
			return err
		}
		u.table.plan.moveRow(u.scratch, state, u.site(u.key[:len(group)], 0))
		u.rows.Delete(u.key)
	}
	u.key = bounded(joined)
	state, err := u.row(u.key)
	if err != nil {
		return err
	}
	s := u.site(u.key[:len(group)], joined.last)
	if moved {
		u.table.plan.moveRow(state, u.scratch, s)
	}
	u.table.plan.mergeRow(state, partial, s)
	return nil
}
