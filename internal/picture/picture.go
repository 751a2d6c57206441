// Package picture takes the pictures of the documentation with a browser.
package picture

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/runtocompletion/batch/internal/effort"
)

// patience is what a busy machine may take for a picture.
const patience = 3 * time.Minute

// Take draws the page at an address as doc/name.png. With PAGE_PICTURES=1 the file is
// written anew; else the picture is only taken. PAGE_CHROMIUM names the browser, if it is
// not chromium. The picture must be smaller than 60 KB.
func Take(t testing.TB, address, name string, width, height int) {
	t.Helper()
	program, err := exec.LookPath(cmp.Or(os.Getenv("PAGE_CHROMIUM"), "chromium"))
	effort.Need(t, err)
	file := filepath.Join(t.TempDir(), "picture.png")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	output, err := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(), "--screenshot="+file,
		fmt.Sprintf("--window-size=%d,%d", width, height), address).CombinedOutput()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, output)
	}
	data, err := os.ReadFile(file)
	if err != nil || len(data) == 0 || len(data) > 60_000 {
		t.Fatalf("a picture of %d bytes: %v", len(data), err)
	}
	if os.Getenv("PAGE_PICTURES") == "" {
		return
	}
	if err := os.WriteFile(filepath.Join("doc", name+".png"), data, 0o644); err != nil {
		t.Fatal(err)
	}
}
