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

	// Where one partial changes several rows, or several partials the same, changes are gathered until Flush.
	before map[string]before
	order  []string // the keys of before, as they came
}

// Change is what became of one row.
type Change struct {
	Key      string
	State    State // zero if it is gone
	Gone     bool  // its session has become part of another
	Shown    bool  // it is part of the result now: HAVING holds
	WasShown bool  // it was before
}

// before is what a row was before it was changed.
type before struct{ existed, shown bool }

// NewUpdater returns an Updater of rows. It returns an error when they are not of the table.
func (t *Table) NewUpdater(rows *Groups) (*Updater, error) {
	u := &Updater{table: t, rows: rows}
	w := t.plan.window
	if w == nil || w.Kind == Tumbling {
		return u, nil
	}
	u.before = map[string]before{}
	if w.Kind == Session {
		u.sessions, u.scratch = newSessions(w), t.NewState()
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

// site is where the values of a row are recorded; key is the row's, of a session the group's.
func (u *Updater) site(key []byte, first int64) site {
	return site{key: key, first: first, log: &u.log, session: u.sessions != nil}
}

// Add adds a partial to the row or, with hopping windows, to the rows that it is part of. changed is called for a row that
// no other partial of this commit can change, the others wait for Flush. Errors are changed's, or say that the key is not
// one of the table.
func (u *Updater) Add(key string, partial State, changed func(Change) error) error {
	switch {
	case u.before == nil:
		u.key = append(u.key[:0], key...)
		state, was, err := u.touch(u.key)
		if err != nil {
			return err
		}
		u.table.plan.mergeRow(state, partial, u.site(u.key, 0))
		return u.report(key, state, was, changed)
	case u.sessions != nil:
		return u.addToSession(key, partial)
	default:
		return u.addToWindows(key, partial)
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
	state, fresh := u.rows.Upsert(key)
	if fresh {
		return state, before{}, nil
	}
	shown, err := u.table.Shows(string(key), state)
	return state, before{existed: true, shown: shown}, err
}

func (u *Updater) report(key string, state State, was before, changed func(Change) error) error {
	shown, err := u.table.Shows(key, state)
	if err != nil {
		return err
	}
	return changed(Change{Key: key, State: state, Shown: shown, WasShown: was.shown})
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
func (u *Updater) addToWindows(key string, pane State) error {
	w := u.table.plan.window
	group, start, _, err := u.table.plan.cutWindow(key)
	if err != nil {
		return err
	}
	for n := w.Size / w.Advance; n > 0; n-- {
		u.key = w.appendWindow(append(u.key[:0], group...), start, 0)
		state, err := u.row(u.key)
		if err != nil {
			return err
		}
		u.table.plan.mergeRow(state, pane, u.site(u.key, 0))
		start -= w.Advance.Microseconds()
	}
	return nil
}

// addToSession adds a stretch of records to the session that they are in, or that they make of several.
func (u *Updater) addToSession(key string, partial State) error {
	w := u.table.plan.window
	group, first, last, err := u.table.plan.cutWindow(key)
	if err != nil {
		return err
	}
	u.key = append(u.key[:0], group...)
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
	s := u.site(u.key[:len(group)], joined.first)
	if moved {
		u.table.plan.moveRow(state, u.scratch, s)
	}
	u.table.plan.mergeRow(state, partial, s)
	return nil
}
