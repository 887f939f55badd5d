"""Files that a browser's user chooses."""


def choose(page, files):
    """Press `Choose files`, choose them in the browser's dialog, and wait until they have come."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(files)
    page.get_by_text(f"{len(files)} files").wait_for()
