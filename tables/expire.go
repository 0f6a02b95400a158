package tables

// This file is what an Updater does as time goes on: EMIT FINAL, RETENTION and TTL.

// Begin says how far the clock has come with what is added next, and the newest time of all. Whether that is too late, it is judged by
// where the clock stood before: partials of one commit are in no order. What a row's age counts from is the newest time: the clock
// of who has much to read may leap over a whole TTL, and rows that were just changed must not go with the old ones.
func (u *Updater) Begin(clock, newest int64) {
	u.judged = u.clock
	u.clock = max(u.clock, clock)
	u.newest = max(u.newest, u.clock, newest)
	if u.unknown == NoClock {
		u.unknown = u.newest
	}
}

// Expire closes and removes rows whose time has come, about most of them with the values that they count. It comes after Flush. left
// says that there may be more, for the next commit.
func (u *Updater) Expire(most int, changed func(Change) error) (left bool, err error) {
	if u.due == nil {
		return false, nil
	}
	for most > 0 {
		i, ok := u.due.next(u.clock)
		if !ok {
			return false, nil
		}
		e := u.rows.entry(i)
		if e.slab == noSlab {
			continue
		}
		n, err := u.look(i, u.rows.key(e), u.rows.state(i), changed)
		if err != nil {
			return false, err
		}
		most -= max(n, 1) // looking takes time, too
	}
	return true, nil
}

// schedule notes when each row is due.
func (u *Updater) schedule() error {
	for i := range u.rows.next {
		e := u.rows.entry(i)
		if e.slab == noSlab {
			continue
		}
		if err := u.await(i, u.rows.key(e), u.rows.state(i)); err != nil {
			return err
		}
	}
	return nil
}

// await notes when a row is due next.
func (u *Updater) await(i uint32, key string, state State) error {
	at, goes, err := u.dueAt(key, state)
	if err == nil && (at != notDue || goes) {
		u.due.add(i, at)
	}
	return err
}

// dueAt returns when something is to happen to a row, and whether it is that it goes: else its window closes. notDue: nothing is.
func (u *Updater) dueAt(key string, state State) (at int64, goes bool, err error) {
	l := u.table.plan.lifetime
	if IsOther(key) {
		return notDue, false, nil // it has all windows
	}
	if l.window == nil {
		changed, ok := l.changed.get(state)
		if !ok || changed == NoClock {
			changed = u.unknown
		}
		if changed == NoClock {
			return NoClock + 1, false, nil // it is looked at when the clock is known
		}
		return l.after(changed, l.ttl), true, nil
	}
	_, start, last, err := u.table.plan.cutWindow(key)
	if err != nil {
		return 0, false, err
	}
	if l.final && !l.closed.isClosed(state) {
		return l.closes(start, last), false, nil
	}
	if at, ever := l.goes(start, last); ever {
		return at, true, nil
	}
	return notDue, false, nil
}

// look does what is due to a row, and returns how many records that takes.
func (u *Updater) look(i uint32, key string, state State, changed func(Change) error) (records int, err error) {
	at, goes, err := u.dueAt(key, state)
	switch {
	case err != nil:
		return 0, err
	case at > u.clock:
		return 0, u.await(i, key, state)
	case goes:
		return u.remove(key, state, changed)
	}
	u.table.plan.lifetime.closed.close(state)
	shown, err := u.table.Shows(key, state)
	if err != nil {
		return 0, err
	}
	if err := changed(Change{Key: key, State: state, Shown: shown}); err != nil {
		return 0, err
	}
	if err := u.forgetSession(key); err != nil {
		return 0, err
	}
	return 1, u.await(i, key, state)
}

// remove removes a row and the values that it counts.
func (u *Updater) remove(key string, state State, changed func(Change) error) (records int, err error) {
	shown, err := u.table.Shows(key, state)
	if err != nil {
		return 0, err
	}
	place := []byte(key)
	if u.sessions != nil {
		group, _, _, err := u.table.plan.cutWindow(key)
		if err != nil {
			return 0, err
		}
		place = place[:len(group)]
	}
	records = 1 + u.table.plan.dropRow(state, u.site(place, 0))
	if err := changed(Change{Key: key, Gone: true, WasShown: shown}); err != nil {
		return records, err
	}
	if err := u.forgetSession(key); err != nil {
		return records, err
	}
	u.rows.Delete([]byte(key))
	return records, nil
}

// forgetSession forgets that a row is a session that can go on.
func (u *Updater) forgetSession(key string) error {
	if u.sessions == nil {
		return nil
	}
	group, first, last, err := u.table.plan.cutWindow(key)
	if err == nil {
		u.sessions.remove([]byte(group), first, last)
	}
	return err
}

// addLate counts records that came too late for all windows that they are in, in those rows of them that are there. Of sessions that is
// seldom: the row would have to have just these bounds. With EMIT CHANGES rows have no place for it.
func (u *Updater) addLate(key string, partial State, changed func(Change) error) error {
	l := u.table.plan.lifetime
	if !l.final {
		return nil
	}
	records := l.rows(partial)
	if w := l.window; w.Kind == Hopping {
		group, start, _, err := u.table.plan.cutWindow(key)
		if err != nil {
			return err
		}
		return u.lateInWindows(group, start, int(w.Size/w.Advance), records)
	}
	return u.lateInRow([]byte(key), records, changed)
}

// lateInRow counts records in a row, if it is there.
func (u *Updater) lateInRow(key []byte, records int64, changed func(Change) error) error {
	state, ok := u.rows.Get(key)
	if !ok {
		return nil
	}
	l := u.table.plan.lifetime
	l.closed.addLate(state, records)
	shown, err := u.table.Shows(string(key), state)
	if err != nil {
		return err
	}
	return changed(Change{Key: string(key), State: state, Shown: shown, WasShown: shown, Settled: true})
}

// lateInWindows counts records in n hopping windows from one on backwards.
func (u *Updater) lateInWindows(group string, start int64, n int, records int64) error {
	w, l := u.table.plan.window, u.table.plan.lifetime
	for ; n > 0 && l.final; n-- {
		u.key = w.appendWindow(append(u.key[:0], group...), start, 0)
		if _, there := u.rows.Get(u.key); there {
			state, err := u.row(u.key)
			if err != nil {
				return err
			}
			l.closed.addLate(state, records)
		}
		start -= w.Advance.Microseconds()
	}
	return nil
}

// isClosed reports whether a row's window has closed.
func (l *lifetime) isClosed(s State) bool { return l != nil && l.final && l.closed.isClosed(s) }
