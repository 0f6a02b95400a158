package browser

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/brotally/brotally/internal/testbrowser"
)

// maxPicture is how large a picture in docs/images may be, in bytes.
const maxPicture = 300_000

// TestScreenshots draws the pictures of docs/images: with IMAGES saying where to and BROTALLY which program, whose demo it runs. See
// `make screenshots`. Without them it draws nothing.
func TestScreenshots(t *testing.T) {
	dir, program := os.Getenv("IMAGES"), os.Getenv("BROTALLY")
	if dir == "" || program == "" {
		return // nobody wants any
	}
	url := demo(t, program)
	b := testbrowser.Start(t, 1280, 900)
	picture := func(name string) {
		t.Helper()
		b.Eval(`document.activeElement.blur()`)
		b.Eval(`document.getAnimations().filter((a) => a.effect.getComputedTiming().endTime !== Infinity).forEach((a) => a.finish())`) // no row is on its way
		data := b.Screenshot()
		if len(data) > maxPicture {
			t.Errorf("%s has %d bytes, more than %d", name, len(data), maxPicture)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const live = `document.querySelector("#state").textContent === "live" && `
	b.Theme("light")

	b.Size(1280, 640)
	b.Open(url + "/")
	for _, length := range []string{"100", "220", "340", "460"} { // of the lines, which have a point a second
		b.Wait(live + `[...document.querySelectorAll(".card")].every((c) => c.querySelectorAll("tbody tr").length > 0 && c.querySelector(".spark .line").getAttribute("d").length > ` + length + `)`)
	}
	picture("page-home")
	b.Theme("dark")
	picture("page-home-dark")
	b.Theme("light")
	b.Size(360, 780)
	picture("page-home-phone")

	b.Size(1280, 1040)
	b.Open(url + "/tables/dns_counts?limit=10")
	b.Wait(live + `document.querySelectorAll("#grid tbody tr").length === 10 && (document.querySelector("#trend path.series")?.getAttribute("d").length ?? 0) > 120`)
	picture("page-table")
	b.Open(url + "/sql?as=chart&q=" + "SELECT+qtype_name%2C+sum%28count%29+AS+queries%0AFROM+dns_counts%0AGROUP+BY+qtype_name%0AORDER+BY+queries+DESC")
	b.Wait(`document.querySelectorAll("#grid tbody tr").length > 2 && document.querySelectorAll(".chart rect").length > 2`)
	picture("page-sql")

	// What else the navigation leads to.
	b.Open(url + "/")
	for _, path := range strings.Fields(b.Eval(`[...document.querySelectorAll("nav a")].map((a) => a.pathname).join(" ")`)) {
		if path == "/" || path == "/sql" {
			continue
		}
		b.Open(url + path)
		b.Wait(`document.querySelector("#state").textContent === "live" && document.querySelector("h1") !== null`)
		b.Wait(`![...document.querySelectorAll("#program dd")].some((dd) => dd.textContent === "–") && (document.querySelector(".drawing") ? document.querySelector(".drawing .rate") !== null : true)`) // rates take two looks
		picture("page-" + strings.ReplaceAll(strings.Trim(path, "/"), "/", "-"))
	}
	b.Complaints()
}

// demo runs the program's demo until the test ends, and returns where its pages are, once there is something to see.
func demo(t *testing.T, program string) (url string) {
	t.Helper()
	cmd := exec.Command(program, "demo", "--seed", "1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(stderr)
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		rest, _ := said.ReadString(0) // all, until it has ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("demo: %v\n%s", err, rest)
		}
	})
	address := regexp.MustCompile(`^ *page +(http://[^ ]+)/\n$`)
	for {
		line, err := said.ReadString('\n')
		if err != nil {
			t.Fatalf("demo: %v", err)
		}
		if found := address.FindStringSubmatch(line); found != nil {
			url = found[1]
		}
		if strings.Contains(line, "first counts after") {
			break
		}
	}
	return url
}
