# SPDX-License-Identifier: Apache-2.0
import errno
import os

from glance_store import exceptions
import pytest
import webob.exc

from glance_ontap_store import errors


def subclasses(cls):
    for subclass in cls.__subclasses__():
        # Tests define subclasses too.
        if subclass.__module__ == errors.__name__:
            yield subclass
        yield from subclasses(subclass)


# The exception that Glance must get, independent of the code under test.
EXPECTED = {
    errors.BadLocation: exceptions.BadStoreUri,
    errors.Misconfigured: exceptions.BadStoreConfiguration,
    errors.ImageVolumeGone: exceptions.NotFound,
    errors.ImageVolumeInUse: exceptions.InUseByStore,
    errors.ImageVolumeStuck: exceptions.InUseByStore,
    errors.NotConnected: exceptions.BackendException,
    errors.ImageVolumeHasSnapshot: exceptions.HasSnapshot,
    errors.Refused: errors.Forbidden,
    errors.NotAuthenticated: errors.Forbidden,
    errors.NoSpace: exceptions.StorageFull,
    errors.WriteDenied: exceptions.StorageWriteDenied,
    errors.WrongLength: exceptions.Invalid,
    errors.UnknownHash: exceptions.UnknownHashingAlgo,
    errors.Broken: exceptions.BackendException,
    errors.CinderUnreachable: exceptions.BackendException,
    errors.FileMissing: exceptions.BackendException,
    errors.StillConnected: exceptions.BackendException,
    errors.ShortRead: exceptions.BackendException,
    errors.Stopping: exceptions.BackendException,
}


class TestMapping:
    def test_every_class_is_in_the_table(self):
        assert set(subclasses(errors.StoreError)) == set(EXPECTED)

    @pytest.mark.parametrize("cls", list(subclasses(errors.StoreError)))
    def test_every_class_becomes_its_exception(self, cls):
        with pytest.raises(EXPECTED[cls], match="the cause is 100% known") as caught:
            with errors.as_glance_store():
                raise cls("the cause is 100% known")
        assert type(caught.value) is EXPECTED[cls]
        assert isinstance(caught.value.__cause__, cls)

    def test_refused_is_a_forbidden_of_glance_store_and_of_webob(self):
        """Glance's delete catches the first; its upload catches only the second."""
        error = errors.to_glance_store(errors.Refused("Not in <this> store."))
        assert isinstance(error, exceptions.Forbidden)
        assert isinstance(error, webob.exc.HTTPError)
        assert error.msg == str(error) == "Not in <this> store."
        assert error.code == 403
        answer = webob.Request.blank("/").get_response(error)
        assert answer.status_code == 403
        assert "Not in " in answer.text

    def test_every_class_is_in_the_tree_of_the_docstring(self):
        for cls in subclasses(errors.StoreError):
            assert f"+-- {cls.__name__} " in errors.__doc__

    def test_a_class_without_a_mapping_is_a_type_error(self):
        class New(errors.StoreError):
            pass

        with pytest.raises(TypeError, match="New"):
            errors.to_glance_store(New())

    def test_other_exceptions_pass_unchanged(self):
        with pytest.raises(KeyError), errors.as_glance_store():
            raise KeyError

    def test_notes_are_part_of_the_message(self):
        error = errors.Broken("First.")
        errors.note(error, "Second.")
        errors.note(error, "Third.")
        assert str(errors.to_glance_store(error)) == "First. Second. Third."


class TestWriting:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            (errno.ENOSPC, errors.NoSpace),
            (errno.EDQUOT, errors.NoSpace),
            (errno.EFBIG, errors.NoSpace),
            (errno.EACCES, errors.WriteDenied),
            (errno.EPERM, errors.WriteDenied),
            (errno.EROFS, errors.WriteDenied),
            (errno.EIO, errors.Broken),
            (errno.ESTALE, errors.Broken),
            (errno.EBADF, errors.Broken),
        ],
    )
    def test_an_oserror_becomes_its_class(self, code, expected):
        with pytest.raises(expected, match="volume-7") as caught:
            with errors.writing("volume-7"):
                raise OSError(code, os.strerror(code))
        assert type(caught.value) is expected
        assert os.strerror(code) in str(caught.value)
        assert caught.value.__cause__.errno == code

    def test_other_exceptions_pass_unchanged(self):
        with pytest.raises(ValueError), errors.writing("volume-7"):
            raise ValueError


class TestRemedies:
    OF_A_LUN = errors.Remedies("Look at the paths.", "Is it read-only?")

    @pytest.mark.parametrize(
        ("code", "remedy"),
        [
            (errno.EIO, "Look at the paths."),
            (errno.EPERM, "Is it read-only?"),
            (errno.EROFS, "Is it read-only?"),
        ],
    )
    def test_those_of_the_device_are_told_to_its_writer(self, code, remedy):
        with pytest.raises(errors.StoreError) as caught:
            with errors.writing("/dev/sda", self.OF_A_LUN):
                raise OSError(code, os.strerror(code))
        assert str(caught.value).endswith(f". {remedy}")
        assert "NFS" not in str(caught.value)
        assert "nas_secure" not in str(caught.value)

    def test_those_of_the_device_are_told_to_its_reader(self):
        with pytest.raises(errors.Broken) as caught:
            with errors.reading("/dev/sda", self.OF_A_LUN):
                raise OSError(errno.EIO, "Input/output error")
        assert str(caught.value) == (
            "Reading /dev/sda failed: [Errno 5] Input/output error. Look at the paths."
        )

    def test_a_file_of_nfs_has_a_server(self):
        with pytest.raises(errors.Broken, match="its NFS server"):
            with errors.reading("volume-7"):
                raise OSError(errno.EIO, "Input/output error")
        with pytest.raises(errors.WriteDenied, match="export policy"):
            with errors.writing("volume-7"):
                raise OSError(errno.EACCES, "Permission denied")


class TestNotes:
    def test_a_note_changes_no_message_and_is_logged(self, caplog):
        error = errors.WrongLength("Too short.")
        errors.note(error, "Volume 7 could not be deleted.")
        assert str(error) == "Too short."
        assert errors.describe(error) == "Too short. Volume 7 could not be deleted."
        assert "Volume 7 could not be deleted." in caplog.text

    def test_an_error_without_notes_is_described_by_its_text(self):
        assert errors.describe(ValueError("x")) == "x"
