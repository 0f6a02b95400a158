package tables

import (
	"math"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/tables/sql"
)

// domainFunction is a function of a domain name in lower case without its last dot, and of the public suffix that it ends
// with. NULL for what is no domain name: empty, an address.
func domainFunction(f func(name, suffix string) feeds.Value) function {
	return func(s *scope, e *sql.Call, args []*expr) (*expr, error) {
		if err := s.arity(e, 1, e.Name+"(name)"); err != nil {
			return nil, err
		}
		x, err := s.stringOperand(e.Args[0], args[0], e.Name)
		if err != nil {
			return nil, err
		}
		out := &expr{typ: feeds.T(feeds.String), text: sql.Format(e), column: -1, eval: func(slots []int) eval {
			value := x.eval(slots)
			return func(e *env) feeds.Value {
				v := value(e)
				if v.IsNull() {
					return v
				}
				name, suffix := e.domain(v.Str())
				if suffix == "" {
					return feeds.NullValue
				}
				return f(name, suffix)
			}
		}}
		return s.fold(e, out, x)
	}
}

// publicSuffixOf is public_suffix(name): what of a domain name everybody can register under, co.uk of www.bbc.co.uk, by the
// Public Suffix List (publicsuffix.org) that the program was built with, its private part included: github.io is one. The
// last label of a name that the list does not know is its suffix.
func publicSuffixOf(_, suffix string) feeds.Value { return feeds.StringValue(suffix) }

// registeredDomainOf is registered_domain(name): the public suffix and one label more, bbc.co.uk of www.bbc.co.uk. NULL
// for a name that is itself a public suffix.
func registeredDomainOf(name, suffix string) feeds.Value {
	if len(name) == len(suffix) {
		return feeds.NullValue
	}
	rest := name[:len(name)-len(suffix)-1]
	label := rest[strings.LastIndexByte(rest, '.')+1:]
	if label == "" {
		return feeds.NullValue
	}
	return feeds.StringValue(name[len(rest)-len(label):])
}

// domainCache remembers the names split lately: names repeat, walking the list takes longer than all else that is done
// with a record, and publicsuffix makes an error of every name that is no address.
type domainCache struct {
	slots []domainSlot
	last  *domainSlot // of the last name: several tables ask for the same one
}

type domainSlot struct {
	text, name, suffix string
}

const (
	domainSlots   = 2048 // a power of two
	maxDomainName = 255  // bytes; longer ones are no names, and are not remembered
)

// split returns the name in lower case and its public suffix; that is empty for what is no domain name.
func (c *domainCache) split(text string) (name, suffix string) {
	if c.last != nil && c.last.text == text {
		return c.last.name, c.last.suffix
	}
	if len(text) > maxDomainName {
		return splitDomain(text)
	}
	if c.slots == nil {
		c.slots = make([]domainSlot, domainSlots)
	}
	slot := &c.slots[hashText(text)%domainSlots]
	if slot.text != text {
		slot.text = strings.Clone(text)
		slot.name, slot.suffix = splitDomain(slot.text)
	}
	c.last = slot
	return slot.name, slot.suffix
}

func splitDomain(text string) (name, suffix string) {
	name = strings.ToLower(strings.TrimSuffix(text, "."))
	last := name[strings.LastIndexByte(name, '.')+1:]
	// Of addresses the last label is a number, which no top-level domain is, or has colons.
	if strings.Trim(last, "0123456789") == "" || strings.IndexByte(last, ':') >= 0 {
		return name, ""
	}
	suffix, _ = publicsuffix.PublicSuffix(name)
	return name, suffix
}

// entropyOf is entropy(text): Shannon's, in bits a byte, from 0 for one byte again and again to 8. Generated domain names
// have more of it than chosen ones. 0 for the empty text.
func entropyOf(s string) feeds.Value {
	var counts [256]uint32
	for i := range len(s) {
		counts[s[i]]++
	}
	sum := 0.0
	for _, c := range counts {
		if c > 1 {
			sum += float64(c) * math.Log2(float64(c))
		}
	}
	if s == "" {
		return feeds.DoubleValue(0)
	}
	n := float64(len(s))
	return feeds.DoubleValue(max(math.Log2(n)-sum/n, 0))
}
