package feeds

import (
	"strings"
	"sync"
)

// KeySet decides by the names of a record's members alone which built-in feed the record is of. It is for topics that
// carry several feeds without saying which; everywhere else the tag, _path or the topic says it for sure.
//
// A feed fits when it has all those names of the record that any feed has. Exactly one must fit, and know more of the
// names than are strange to all feeds: the fields of a site's own log are not to make it another one. Of several that
// fit, it is the one of which the record has every column. Nothing else is guessed, so that the same names
// always give the same answer. The zero KeySet has seen no name; it is not safe for concurrent use.
type KeySet struct {
	index   *keyIndex
	fits    feedSet
	common  int // names that every log of a connection has
	telling int // other names that some feed has
	strange int // names that no feed has
}

// Reset forgets the names of the record before.
func (k *KeySet) Reset() {
	if k.index == nil {
		k.index = indexOfKeys()
	}
	k.fits, k.common, k.telling, k.strange = k.index.all, 0, 0, 0
}

// Add takes one name of the record's outermost members, as decoded. isObject says that its value is an object: the dots
// of names were expanded. Names of log extensions, which begin with _, tell nothing.
func (k *KeySet) Add(name []byte, isObject bool) {
	if len(name) > 0 && name[0] == '_' {
		return
	}
	names := k.index.names
	if isObject {
		names = k.index.objects
	}
	of, known := names[string(name)]
	switch {
	case !known:
		k.strange++
		return
	case of.common:
		k.common++
	default:
		k.telling++
	}
	k.fits.intersect(of.feeds)
}

// Feed returns the feed that the names added since Reset tell, "" when they tell none for certain.
func (k *KeySet) Feed() string {
	if k.telling <= k.strange {
		return ""
	}
	only := ""
	for i, f := range k.index.feeds {
		if !k.fits.has(i) {
			continue
		}
		if k.strange == 0 && k.common+k.telling == f.columns {
			return f.name
		}
		if only != "" {
			only = several
			continue
		}
		only = f.name
	}
	if only == several {
		return ""
	}
	return only
}

const several = "\x00" // no feed's name

// feedSet is a set of feeds by their position in the index.
type feedSet [2]uint64

func (s *feedSet) add(i int)               { s[i/64] |= 1 << (i % 64) }
func (s *feedSet) has(i int) bool          { return s[i/64]&(1<<(i%64)) != 0 }
func (s *feedSet) intersect(other feedSet) { s[0] &= other[0]; s[1] &= other[1] }

// keyIndex says of every name which feeds have it.
type keyIndex struct {
	feeds   []indexedFeed
	all     feedSet
	names   map[string]keyOf // of members that are no objects
	objects map[string]keyOf // of members that are: id for id.orig_h
}

type indexedFeed struct {
	name    string
	columns int // without those of log extensions
}

type keyOf struct {
	feeds  feedSet
	common bool
}

// repeats are feeds whose records repeat those of another, column for column, so that only a tag or _path tells them: who
// gives neither means the other.
var repeats = map[string]string{"notice_alarm": "notice"}

// indexOfKeys makes the index when it is first needed, which is not when nobody reads a mixed topic.
var indexOfKeys = sync.OnceValue(func() *keyIndex {
	x := &keyIndex{names: map[string]keyOf{}, objects: map[string]keyOf{}}
	common := map[string]bool{}
	for _, c := range connectionColumns {
		common[c.Name] = true
		common[strings.ReplaceAll(c.Name, ".", "_")] = true
	}
	note := func(names map[string]keyOf, name string, feed int, isCommon bool) {
		of := names[name]
		of.feeds.add(feed)
		of.common = isCommon
		names[name] = of
	}
	for _, f := range All() {
		if repeats[f.Name] != "" {
			continue
		}
		i := len(x.feeds)
		x.all.add(i) // panics when there are more feeds than a set has room for: a larger array is due
		own := 0
		for _, c := range f.Columns {
			if strings.HasPrefix(c.Name, "_") {
				continue
			}
			own++
			for _, name := range append([]string{c.Name}, c.Aliases...) {
				note(x.names, name, i, common[name])
				for at := range len(name) {
					if name[at] == '.' {
						note(x.objects, name[:at], i, name[:at] == "id")
					}
				}
			}
		}
		x.feeds = append(x.feeds, indexedFeed{f.Name, own})
	}
	return x
})
