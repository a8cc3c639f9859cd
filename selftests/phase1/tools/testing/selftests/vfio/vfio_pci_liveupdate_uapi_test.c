// SPDX-License-Identifier: GPL-2.0-only

/*
 * Test what userspace can do with the files of a vfio-pci device in a live update
 * session, up to the kexec. vfio_pci_liveupdate_kexec_test goes on from there.
 *
 * Without /dev/liveupdate this fails, rather than skips: who runs it wants to know
 * that live update works. That is why it is not run by default.
 */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <sys/mman.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "../kselftest_harness.h"
#include "vfio_pci_liveupdate.h"

#define SESSION_NAME "vfio-pci-uapi-test"
#define TOKEN 0x1234

#define VF_TOKEN "52ac9bff-3a88-4fbd-901a-0d767c3b6c97"

#define ENABLE_SRIOV_PATH "/sys/module/vfio_pci/parameters/enable_sriov"

static const char *device_bdf;
static const char *iommu_mode;

static int open_liveupdate(void)
{
	int fd = luo_open_device();

	VFIO_ASSERT_GE(fd, 0, "open(%s) failed\n", LUO_DEVICE);
	return fd;
}

static int open_session(int luo_fd, const char *name)
{
	int fd = luo_create_session(luo_fd, name);

	VFIO_ASSERT_GE(fd, 0, "Failed to create session %s\n", name);
	return fd;
}

static void close_session(int *session_fd)
{
	VFIO_ASSERT_EQ(close(*session_fd), 0);
	*session_fd = -1;
}

/* A bound device, and a session. */
FIXTURE(bound) {
	int luo_fd;
	int session_fd;
	struct iommu *iommu;
	struct vfio_pci_device *device;
	struct dma_memfd mem;
};

/* Give the device memory and a driver, if there is one for it. */
static void driver_setup(struct vfio_pci_device *device, struct dma_memfd *mem)
{
	if (!device->driver.ops)
		return;

	dma_memory_create(mem, device->iommu);
	dma_driver_region_set(device, mem);
	vfio_pci_driver_init(device);
}

static void device_cleanup(struct vfio_pci_device *device, struct dma_memfd *mem)
{
	bool driver = device->driver.ops;

	vfio_pci_device_cleanup(device);
	if (driver)
		dma_memfd_cleanup(mem);
}

FIXTURE_SETUP(bound)
{
	self->luo_fd = open_liveupdate();
	self->session_fd = open_session(self->luo_fd, SESSION_NAME);

	self->iommu = iommu_init(iommu_mode);
	self->device = vfio_pci_device_init(device_bdf, self->iommu);
	driver_setup(self->device, &self->mem);
}

FIXTURE_TEARDOWN(bound)
{
	if (self->session_fd >= 0)
		ASSERT_EQ(close(self->session_fd), 0);

	if (self->device)
		device_cleanup(self->device, &self->mem);

	iommu_cleanup(self->iommu);
	ASSERT_EQ(close(self->luo_fd), 0);
}

/* Check that config space can be read and written. */
static void check_config_space(struct vfio_pci_device *device)
{
	u16 command = vfio_pci_config_readw(device, PCI_COMMAND);

	VFIO_ASSERT_NE(vfio_pci_config_readw(device, PCI_VENDOR_ID), 0xffff);

	vfio_pci_config_writew(device, PCI_COMMAND, command ^ PCI_COMMAND_MASTER);
	VFIO_ASSERT_EQ(vfio_pci_config_readw(device, PCI_COMMAND),
		       command ^ PCI_COMMAND_MASTER);

	vfio_pci_config_writew(device, PCI_COMMAND, command);
	VFIO_ASSERT_EQ(vfio_pci_config_readw(device, PCI_COMMAND), command);
}

static void check_device_works(struct vfio_pci_device *device, struct dma_memfd *mem)
{
	check_config_space(device);

	if (!device->driver.ops) {
		printf("No driver for this device, DMA and interrupts are not tested\n");
		return;
	}

	VFIO_ASSERT_EQ(dma_copy(device, mem, 0x5a), 0);
	VFIO_ASSERT_EQ(dma_copy(device, mem, 0xc3), 0);

	if (device->driver.ops->send_msi)
		VFIO_ASSERT_EQ(send_msi(device), 0);
}

TEST_F(bound, preserve)
{
	ASSERT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN), 0);
}

/* Closing the session unpreserves the file, which can be preserved again then. */
TEST_F(bound, close_session_unpreserves)
{
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN), 0);
		close_session(&self->session_fd);
		self->session_fd = open_session(self->luo_fd, SESSION_NAME);
	}
}

TEST_F(bound, preserve_twice_fails)
{
	int other_fd;

	ASSERT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN), 0);

	EXPECT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN + 1), -EBUSY);

	other_fd = open_session(self->luo_fd, SESSION_NAME "-other");
	EXPECT_EQ(luo_session_preserve_fd(other_fd, self->device->fd, TOKEN), -EBUSY);

	/* It is still the first session that has the file. */
	ASSERT_EQ(close(other_fd), 0);
	EXPECT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN + 1), -EBUSY);
}

/* It is the device that is preserved, so another file of it makes no difference. */
TEST_F(bound, preserve_other_file_fails)
{
	const char *path = vfio_pci_get_cdev_path(device_bdf);
	int fd;

	fd = open(path, O_RDWR);
	ASSERT_GE(fd, 0);

	EXPECT_EQ(luo_session_preserve_fd(self->session_fd, fd, TOKEN), -EINVAL);

	ASSERT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN), 0);
	EXPECT_EQ(luo_session_preserve_fd(self->session_fd, fd, TOKEN + 1), -EBUSY);

	ASSERT_EQ(close(fd), 0);
	free((void *)path);
}

/* The session is as it was after a file was refused. */
TEST_F(bound, several_tokens)
{
	int session_fd = self->session_fd;
	int memfds[2];

	for (int i = 0; i < ARRAY_SIZE(memfds); i++) {
		memfds[i] = memfd_create("several-tokens", MFD_CLOEXEC);
		ASSERT_GE(memfds[i], 0);
		ASSERT_EQ(ftruncate(memfds[i], getpagesize()), 0);
	}

	ASSERT_EQ(luo_session_preserve_fd(session_fd, memfds[0], 1), 0);
	EXPECT_EQ(luo_session_preserve_fd(session_fd, self->device->fd, 1), -EEXIST);
	ASSERT_EQ(luo_session_preserve_fd(session_fd, self->device->fd, 2), 0);
	EXPECT_EQ(luo_session_preserve_fd(session_fd, memfds[1], 2), -EEXIST);
	ASSERT_EQ(luo_session_preserve_fd(session_fd, memfds[1], 3), 0);

	check_device_works(self->device, &self->mem);
	close_session(&self->session_fd);

	session_fd = open_session(self->luo_fd, SESSION_NAME);
	self->session_fd = session_fd;

	/* All of them are free, and all tokens. */
	ASSERT_EQ(luo_session_preserve_fd(session_fd, self->device->fd, 3), 0);
	ASSERT_EQ(luo_session_preserve_fd(session_fd, memfds[1], 1), 0);
	ASSERT_EQ(luo_session_preserve_fd(session_fd, memfds[0], 2), 0);

	for (int i = 0; i < ARRAY_SIZE(memfds); i++)
		ASSERT_EQ(close(memfds[i]), 0);
}

/* To preserve a device does not keep anybody from using it. */
TEST_F(bound, device_works)
{
	check_device_works(self->device, &self->mem);

	ASSERT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN), 0);
	check_device_works(self->device, &self->mem);

	close_session(&self->session_fd);
	check_device_works(self->device, &self->mem);
}

/* The session holds the file, so the device stays open until the session goes. */
TEST_F(bound, session_keeps_device_open)
{
	struct vfio_pci_device *other;
	int iommufd = self->iommu->iommufd;

	ASSERT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN), 0);
	device_cleanup(self->device, &self->mem);
	self->device = NULL;

	other = vfio_pci_device_alloc(device_bdf, self->iommu);
	vfio_pci_cdev_open(other, device_bdf);
	EXPECT_EQ(__vfio_device_bind_iommufd(other->fd, iommufd, NULL), -EINVAL);

	close_session(&self->session_fd);
	EXPECT_EQ(__vfio_device_bind_iommufd(other->fd, iommufd, NULL), 0);

	ASSERT_EQ(close(other->fd), 0);
	vfio_pci_device_free(other);
}

/* After its session was closed, a device can be closed, opened and preserved. */
TEST_F(bound, reuse_after_close)
{
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN), 0);
		close_session(&self->session_fd);
		device_cleanup(self->device, &self->mem);

		self->device = vfio_pci_device_init(device_bdf, self->iommu);
		driver_setup(self->device, &self->mem);
		check_device_works(self->device, &self->mem);

		self->session_fd = open_session(self->luo_fd, SESSION_NAME);
	}
}

/* A device that is not open, and a session. */
FIXTURE(unopened) {
	int luo_fd;
	int session_fd;
	struct iommu *iommu;
	struct vfio_pci_device *device;
};

FIXTURE_SETUP(unopened)
{
	self->luo_fd = open_liveupdate();
	self->session_fd = open_session(self->luo_fd, SESSION_NAME);
}

FIXTURE_TEARDOWN(unopened)
{
	ASSERT_EQ(close(self->session_fd), 0);

	if (self->device)
		vfio_pci_device_cleanup(self->device);
	if (self->iommu)
		iommu_cleanup(self->iommu);

	ASSERT_EQ(close(self->luo_fd), 0);
}

TEST_F(unopened, preserve_unbound_file_fails)
{
	const char *path = vfio_pci_get_cdev_path(device_bdf);
	int fd;

	fd = open(path, O_RDWR);
	ASSERT_GE(fd, 0);

	EXPECT_EQ(luo_session_preserve_fd(self->session_fd, fd, TOKEN), -EINVAL);

	/* Having been refused does it no harm. */
	self->iommu = iommu_init(iommu_mode);
	self->device = vfio_pci_device_init_fd(device_bdf, self->iommu, fd);
	EXPECT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN), 0);

	free((void *)path);
}

/* A file that was got from the device's group. */
TEST_F(unopened, preserve_file_of_group_fails)
{
	const char *mode = MODE_VFIO_TYPE1V2_IOMMU;
	char *path = vfio_pci_get_group_path(device_bdf);

	if (!path)
		SKIP(return, "No files for groups (CONFIG_VFIO_GROUP)");
	free(path);

	if (access("/dev/vfio/vfio", F_OK))
		SKIP(return, "No containers for groups (CONFIG_VFIO_CONTAINER)");

	if (!strcmp(iommu_mode, MODE_IOMMUFD_NOIOMMU))
		mode = MODE_VFIO_NOIOMMU;

	self->iommu = iommu_init(mode);
	self->device = vfio_pci_device_init(device_bdf, self->iommu);
	EXPECT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN), -EINVAL);
}

/* A bound device that has a VF, and a session. */
FIXTURE(with_vf) {
	int luo_fd;
	int session_fd;
	struct iommu *iommu;
	struct vfio_pci_device *device;

	/* The VF, if the test opened it. */
	struct vfio_pci_device *vf;
};

static bool sriov_enabled(void)
{
	char value = 0;
	int fd;

	fd = open(ENABLE_SRIOV_PATH, O_RDONLY);
	if (fd < 0)
		return false;

	VFIO_ASSERT_EQ(read(fd, &value, 1), 1);
	VFIO_ASSERT_EQ(close(fd), 0);

	return value == 'Y';
}

FIXTURE_SETUP(with_vf)
{
	if (sysfs_sriov_totalvfs_get(device_bdf) <= 0)
		SKIP(return, "The device has no SR-IOV");
	if (sysfs_sriov_numvfs_get(device_bdf))
		SKIP(return, "The device has VFs already");
	if (!sriov_enabled())
		SKIP(return, "vfio-pci does not enable VFs, %s is not Y", ENABLE_SRIOV_PATH);

	self->luo_fd = open_liveupdate();
	self->session_fd = open_session(self->luo_fd, SESSION_NAME);

	self->iommu = iommu_init(iommu_mode);
	self->device = vfio_pci_device_init(device_bdf, self->iommu);
	sysfs_sriov_numvfs_set(device_bdf, 1);
}

FIXTURE_TEARDOWN(with_vf)
{
	/* Disabling the VF waits until neither this process nor the session has it. */
	if (self->vf) {
		ASSERT_EQ(close(self->vf->fd), 0);
		vfio_pci_device_free(self->vf);
	}

	ASSERT_EQ(close(self->session_fd), 0);

	sysfs_sriov_numvfs_set(device_bdf, 0);
	vfio_pci_device_cleanup(self->device);
	iommu_cleanup(self->iommu);

	ASSERT_EQ(close(self->luo_fd), 0);
}

TEST_F(with_vf, preserve_pf_fails)
{
	EXPECT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN), -EOPNOTSUPP);

	sysfs_sriov_numvfs_set(device_bdf, 0);
	EXPECT_EQ(luo_session_preserve_fd(self->session_fd, self->device->fd, TOKEN), 0);
}

TEST_F(with_vf, preserve_vf_fails)
{
	char *vf_bdf = sysfs_sriov_vf_bdf_get(device_bdf, 0);
	int iommufd = self->iommu->iommufd;

	vfio_device_set_vf_token(self->device->fd, VF_TOKEN);

	self->vf = vfio_pci_device_alloc(vf_bdf, self->iommu);
	vfio_pci_cdev_open(self->vf, vf_bdf);
	ASSERT_EQ(__vfio_device_bind_iommufd(self->vf->fd, iommufd, VF_TOKEN), 0);

	EXPECT_EQ(luo_session_preserve_fd(self->session_fd, self->vf->fd, TOKEN), -EOPNOTSUPP);

	free(vf_bdf);
}

int main(int argc, char *argv[])
{
	device_bdf = vfio_selftests_get_bdf(&argc, argv);
	iommu_mode = default_liveupdate_iommu_mode(device_bdf);
	printf("Using IOMMU mode %s\n", iommu_mode);

	return test_harness_run(argc, argv);
}
