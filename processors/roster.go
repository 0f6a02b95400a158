package processors

import (
	"slices"
	"sync"

	"github.com/brotally/brotally/internal/kafka"
)

// roster is where this process stands in the groups of its tables, or, where it has only streams, of their passes. It decides
// who goes when two processes run under one name: each would throw the other one out of every group, for ever.
type roster struct {
	mu      sync.Mutex          // guards all below
	members map[string]string   // our member id of the last session, by group; empty before the first
	present map[string][]string // the names of all that were in it then
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

// gone notes the names of all that are in a group, and returns those that were and are not any more. None at all: it is not known.
func (r *roster) gone(group string, names []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.present == nil {
		r.present = map[string][]string{}
	}
	if len(names) == 0 {
		return nil
	}
	before := r.present[group]
	r.present[group] = names
	return slices.DeleteFunc(slices.Clone(before), func(name string) bool { return slices.Contains(names, name) })
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
