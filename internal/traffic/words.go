package traffic

import "fmt"

var firstNames = []string{
	"anna", "ben", "chidi", "dana", "emre", "fatima", "georg", "hana", "ines", "jonas", "kemal", "lucia", "mei", "nils",
	"olga", "pavel", "quinn", "rosa", "sami", "tilda", "umar", "vera", "wim", "xenia", "yusuf", "zoe",
}

// userName returns the i-th person's account.
func userName(i int) string {
	if i < len(firstNames) {
		return firstNames[i]
	}
	return fmt.Sprintf("%s%d", firstNames[i%len(firstNames)], i/len(firstNames)+1)
}

var siteFirst = []string{
	"amber", "birch", "cedar", "delta", "ember", "fjord", "granite", "harbor", "indigo", "juniper", "kestrel", "lumen",
	"maple", "north", "orchard", "pebble", "quartz", "river", "saffron", "timber", "upland", "violet", "willow", "zephyr",
}

var siteSecond = []string{
	"atlas", "bazaar", "books", "chat", "daily", "docs", "forum", "games", "hotels", "jobs", "kitchen", "maps", "music",
	"news", "notes", "photos", "rail", "shop", "sports", "times", "travel", "tv", "video", "weather",
}

var thirdParties = []string{"pulseboard", "adlattice", "pixelgate", "fontyard", "tagrelay", "statferry"}

var pathWords = []string{
	"account", "article", "assets", "basket", "category", "comments", "fr", "home", "img", "js", "latest", "products",
	"search", "static", "story", "style", "top", "video",
}

var fileKinds = []struct {
	suffix, mime string
	bytes        float64 // typical size
}{
	{".html", "text/html", 24_000},
	{".js", "application/javascript", 60_000},
	{".css", "text/plain", 18_000},
	{".png", "image/png", 30_000},
	{".jpg", "image/jpeg", 90_000},
	{".gif", "image/gif", 43},
	{".json", "application/json", 2_500},
	{".woff2", "application/font-woff", 28_000},
}

var subjects = []string{
	"Re: survey of pier 7, second draft",
	"Invoice 2026-1187",
	"Fwd: \"final\" charts, really final this time",
	"Angebot für die Vermessung in Lübeck",
	"Lunch?",
	"Réunion de jeudi déplacée à 15 h",
	"見積書のご送付",
	"Minutes of the Monday meeting",
	"Your parcel is on its way 📦",
	"C:\\surveys\\2026 is nearly full",
}

var shareNames = []string{"surveys", "charts", "invoices", "staff", "backup"}
