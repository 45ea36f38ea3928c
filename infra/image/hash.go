package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// versionLength is the length of a version in hexadecimal digits.
const versionLength = 12

// contextHash is the version of a build: the hash of all files of the build
// context that the engine is sent, and of the parameters of the build, so that no
// two builds share a name.
func contextHash(folder string, parameters ...string) (string, error) {
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return "", err
	}
	ignored, err := ignoredFiles(folder)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "parameters %q\n", parameters)
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		skip, err := ignored.MatchesOrParentMatches(name)
		if err != nil || skip && name != "Dockerfile" {
			return err
		}
		return addFile(sum, folder, name, entry)
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil))[:versionLength], nil
}

func ignoredFiles(folder string) (*patternmatcher.PatternMatcher, error) {
	file, err := os.Open(filepath.Join(folder, ".dockerignore"))
	if errors.Is(err, fs.ErrNotExist) {
		return patternmatcher.New(nil)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, err
	}
	return patternmatcher.New(patterns)
}

// addFile adds a file's name, whether it is executable, and its content, or a
// link's target. Other permissions depend on who checked the project out.
func addFile(sum hash.Hash, folder, name string, entry fs.DirEntry) error {
	path := filepath.Join(folder, name)
	if entry.Type()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		fmt.Fprintf(sum, "link %q %q\n", filepath.ToSlash(name), target)
		return err
	}
	if !entry.Type().IsRegular() {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	fmt.Fprintf(sum, "file %q %t %d\n", filepath.ToSlash(name), info.Mode()&0o111 != 0, info.Size())
	_, err = io.Copy(sum, file)
	return err
}
