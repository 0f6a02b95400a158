package processors

import (
	"slices"
	"sync"
	"time"

	"github.com/brotally/brotally/internal/kafka"
)

// roster is where this process stands in the groups of its tables, or, where it has only streams, of their passes. It decides
// who goes when two processes run under one name: each would throw the other one out of every group, for ever.
type roster struct {
	mu      sync.Mutex                      // guards all below
	members map[string]string               // our member id of the last session, by group; empty before the first
	known   map[string]map[string]time.Time // who was seen in a group, by name, and since when not any more; zero while present
}

// enter notes that this process is going to have a session in a group that counts.
func (r *roster) enter(group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members == nil {
		r.members = map[string]string{}
	}
	if _, ok := r.members[group]; !ok {
		r.members[group] = ""
	}
}

// leave notes that this process is not going to have a session in the group any more.
func (r *roster) leave(group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, group)
}

// joined notes the session that this process has in a group, if the group counts.
func (r *roster) joined(group, member string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.members[group]; ok {
		r.members[group] = member
	}
}

// gone notes the names of all that are in a group now, and returns who has not been in it for at least an absence, until they
// are buried, and whether to ask again: somebody is missing for a shorter time, or who is there is not known, as no names say.
func (r *roster) gone(group string, names []string, now time.Time) (gone []string, missing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]map[string]time.Time{}
	}
	known := r.known[group]
	if known == nil {
		known = map[string]time.Time{}
		r.known[group] = known
	}
	for _, name := range names {
		known[name] = time.Time{}
	}
	missing = len(names) == 0
	for name, since := range known {
		switch {
		case slices.Contains(names, name):
		case len(names) == 0:
		case since.IsZero():
			known[name], missing = now, true
		case now.Sub(since) < absence:
			missing = true
		default:
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	return gone, missing
}

// buried forgets a name in a group until it is seen again.
func (r *roster) buried(group, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known[group], name)
}

// replaced says whether another process has our name. The two may each have taken some of the other's groups. Whoever has the
// first one goes on, and takes the rest back: so just one of them ends. While we have no place there it is not decided.
func (r *roster) replaced(admin *kafka.Admin, instance string) bool {
	r.mu.Lock()
	first, own := "", ""
	for group, member := range r.members {
		if first == "" || group < first {
			first, own = group, member
		}
	}
	r.mu.Unlock()
	if own == "" {
		return false
	}
	members, err := admin.GroupMembers(first)
	return err == nil && slices.ContainsFunc(members, func(m kafka.Member) bool { return m.Instance == memberName(first, instance) && m.ID != own })
}

// memberName tells the instances of a group apart; it is the transactional id, too.
func memberName(group, instance string) string { return group + "-" + instance }
