// SPDX-License-Identifier: GPL-2.0-only

/*
 * Test that vfio-pci devices go on through a live update as they were.
 *
 *	scripts/setup.sh BDF
 *	vfio_pci_liveupdate_kexec_test --stage 1 BDF
 *	kexec ...
 *	scripts/setup.sh BDF
 *	vfio_pci_liveupdate_kexec_test --stage 2 BDF
 *	scripts/cleanup.sh BDF
 *
 * Stage 1 opens and preserves the device and leaves a process behind that holds
 * it, and that makes it copy memory until the kexec if the device may do DMA all
 * the time. Stage 2 takes the device over and checks that nothing happened to it.
 * It can be made for several devices, in one call or in one call for each.
 *
 * If the kexec does not happen, kill that process before scripts/cleanup.sh, which
 * waits for the device to be closed. Stage 1 prints its PID. What it has to say
 * itself, such as why it ended, is in the kernel log.
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/compiler.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <libliveupdate.h>
#include <libvfio.h>

#include "vfio_pci_liveupdate.h"

#define DEVICE_TOKEN 1
#define MEMORY_TOKEN 2

#define STATE_MAGIC 0x7666696f6b657865ULL

enum {
	MARKER_MSI_ADDRESS,
	MARKER_MSIX_TABLE,
	NR_MARKERS,
};

/* How many results each stage has for each device. */
#define STAGE_1_RESULTS 5
#define STAGE_2_RESULTS 24

/* What stage 2 must know of stage 1. It is in the memory that is preserved. */
struct test_state {
	u64 magic;
	char iommu_mode[32];

	/* Whether a reset is known to wipe the marker. */
	bool marker_usable[NR_MARKERS];

	/* Whether the device copied memory until the kexec, and how often. */
	bool dma;
	u64 copies;
};

struct test_device {
	const char *bdf;
	int session_fd;
	struct iommu *iommu;
	struct vfio_pci_device *device;
	struct dma_memfd mem;

	/*
	 * What stage 2 found before it bound the device. They need not be where
	 * the previous kernel put them.
	 */
	u32 bars[PCI_STD_NUM_BARS];
};

static const char *iommu_mode_arg;

#define result(_test, _pass, _fmt, ...) \
	ksft_test_result(_pass, "%s: " _fmt "\n", (_test)->bdf, ##__VA_ARGS__)

#define skip(_test, _fmt, ...) \
	ksft_test_result_skip("%s: " _fmt "\n", (_test)->bdf, ##__VA_ARGS__)

static struct test_state *test_state(struct test_device *test)
{
	struct dma_layout *layout = dma_layout(&test->mem);

	static_assert(sizeof(struct test_state) <= sizeof(layout->state),
		      "no room for the state");

	return (struct test_state *)layout->state;
}

static const char *iommu_mode(struct test_device *test)
{
	return iommu_mode_arg ?: default_liveupdate_iommu_mode(test->bdf);
}

static void session_name(struct test_device *test, char *name)
{
	snprintf_assert(name, LIVEUPDATE_SESSION_NAME_LENGTH,
			"vfio-pci-kexec-test-%s", test->bdf);
}

/*
 * Config space by way of sysfs. It is the device's, not what vfio-pci makes of
 * it, and no file of the device is needed.
 */
static void sysfs_config_access(const char *bdf, bool write, int offset,
				void *data, size_t size)
{
	char path[PATH_MAX];
	ssize_t ret;
	int fd;

	snprintf_assert(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDWR);
	VFIO_ASSERT_GE(fd, 0, "open(%s) failed\n", path);

	if (write)
		ret = pwrite(fd, data, size, offset);
	else
		ret = pread(fd, data, size, offset);

	VFIO_ASSERT_EQ(ret, size, "Failed to access %s at 0x%x\n", path, offset);
	VFIO_ASSERT_EQ(close(fd), 0);
}

#define sysfs_config_read(_bdf, _offset, _type) ({				 \
	_type __data;								 \
	sysfs_config_access((_bdf), false, (_offset), &__data, sizeof(__data)); \
	__data;									 \
})

static u16 sysfs_command(struct test_device *test)
{
	return sysfs_config_read(test->bdf, PCI_COMMAND, u16);
}

static void sysfs_bars(struct test_device *test, u32 *bars)
{
	for (int i = 0; i < PCI_STD_NUM_BARS; i++)
		bars[i] = sysfs_config_read(test->bdf, PCI_BASE_ADDRESS_0 + 4 * i, u32);
}

/* Return 0 if the device has no such capability. */
static u8 find_capability(const char *bdf, u8 id)
{
	u8 pos;

	if (!(sysfs_config_read(bdf, PCI_STATUS, u16) & PCI_STATUS_CAP_LIST))
		return 0;

	pos = sysfs_config_read(bdf, PCI_CAPABILITY_LIST, u8) & ~3;

	/* As many as there can be, in case that the list has no end. */
	for (int i = 0; pos && i < 48; i++) {
		if (sysfs_config_read(bdf, pos + PCI_CAP_LIST_ID, u8) == id)
			return pos;

		pos = sysfs_config_read(bdf, pos + PCI_CAP_LIST_NEXT, u8) & ~3;
	}

	return 0;
}

/*
 * Markers: state that any device may have, that means nothing to it as long as
 * it sends no such interrupts, and that a reset wipes.
 */

static bool msi_address_write(struct vfio_pci_device *device, u32 value)
{
	u8 msi = find_capability(device->bdf, PCI_CAP_ID_MSI);

	if (!msi)
		return false;

	sysfs_config_access(device->bdf, true, msi + PCI_MSI_ADDRESS_LO, &value, sizeof(value));
	return true;
}

static u32 sysfs_msi_address(const char *bdf)
{
	u8 msi = find_capability(bdf, PCI_CAP_ID_MSI);

	return sysfs_config_read(bdf, msi + PCI_MSI_ADDRESS_LO, u32);
}

static u32 msi_address_read(struct vfio_pci_device *device)
{
	return sysfs_msi_address(device->bdf);
}

/* The data of the last entry of the MSI-X table, if nobody uses it. */
static void *msix_data(struct vfio_pci_device *device)
{
	u8 msix = find_capability(device->bdf, PCI_CAP_ID_MSIX);
	struct vfio_pci_bar *bar;
	u32 table, offset, last;

	if (!msix)
		return NULL;

	last = sysfs_config_read(device->bdf, msix + PCI_MSIX_FLAGS, u16) & PCI_MSIX_FLAGS_QSIZE;
	if (last <= device->driver.msi)
		return NULL;

	table = sysfs_config_read(device->bdf, msix + PCI_MSIX_TABLE, u32);
	bar = &device->bars[table & PCI_MSIX_TABLE_BIR];
	if (!bar->vaddr)
		return NULL;

	offset = (table & PCI_MSIX_TABLE_OFFSET) + last * PCI_MSIX_ENTRY_SIZE;
	return bar->vaddr + offset + PCI_MSIX_ENTRY_DATA;
}

static bool msix_table_write(struct vfio_pci_device *device, u32 value)
{
	void *data = msix_data(device);

	if (!data)
		return false;

	writel(value, data);
	return true;
}

static u32 msix_table_read(struct vfio_pci_device *device)
{
	return readl(msix_data(device));
}

static const struct marker {
	const char *name;
	u32 value;

	/* Returns false if the device does not have this one. */
	bool (*write)(struct vfio_pci_device *device, u32 value);
	u32 (*read)(struct vfio_pci_device *device);
} markers[NR_MARKERS] = {
	[MARKER_MSI_ADDRESS] = {
		.name = "MSI address",
		.value = 0x600d1de8,
		.write = msi_address_write,
		.read = msi_address_read,
	},
	[MARKER_MSIX_TABLE] = {
		.name = "MSI-X table",
		.value = 0x600d1dea,
		.write = msix_table_write,
		.read = msix_table_read,
	},
};

static void markers_set(struct test_device *test)
{
	for (int i = 0; i < NR_MARKERS; i++) {
		if (test_state(test)->marker_usable[i])
			markers[i].write(test->device, markers[i].value);
	}
}

static bool marker_is_set(struct test_device *test, int i)
{
	return markers[i].read(test->device) == markers[i].value;
}

/* How many of those that can be used. */
static int markers_usable(struct test_device *test)
{
	int count = 0;

	for (int i = 0; i < NR_MARKERS; i++)
		count += test_state(test)->marker_usable[i];

	return count;
}

static int markers_count_set(struct test_device *test)
{
	int count = 0;

	for (int i = 0; i < NR_MARKERS; i++) {
		if (test_state(test)->marker_usable[i])
			count += marker_is_set(test, i);
	}

	return count;
}

/* Find out what a reset of this device wipes. */
static void markers_try(struct test_device *test)
{
	struct vfio_pci_device *device = test->device;

	for (int i = 0; i < NR_MARKERS; i++) {
		const struct marker *marker = &markers[i];

		if (!(device->info.flags & VFIO_DEVICE_FLAGS_RESET)) {
			skip(test, "%s is a marker: no reset", marker->name);
			continue;
		}

		if (!marker->write(device, marker->value)) {
			skip(test, "%s is a marker: there is none", marker->name);
			continue;
		}

		if (!marker_is_set(test, i)) {
			skip(test, "%s is a marker: not writable", marker->name);
			continue;
		}

		vfio_pci_device_reset(device);
		if (marker_is_set(test, i)) {
			skip(test, "%s is a marker: not reset", marker->name);
			continue;
		}

		test_state(test)->marker_usable[i] = true;
		result(test, true, "%s is a marker", marker->name);
	}
}

static bool has_resume(struct test_device *test)
{
	struct vfio_pci_driver *driver = &test->device->driver;

	return driver->ops && driver->ops->resume;
}

static void driver_init(struct test_device *test)
{
	dma_driver_region_set(test->device, &test->mem);
	vfio_pci_driver_init(test->device);
}

/* Report whether the device can do DMA. Its driver is initialized if it has one. */
static void result_dma(struct test_device *test, const char *when)
{
	int ret;

	if (!test->device->driver.initialized) {
		skip(test, "DMA works %s: no driver", when);
		return;
	}

	ret = dma_copy(test->device, &test->mem, 0x5a);
	if (!ret)
		ret = dma_copy(test->device, &test->mem, 0xc3);

	result(test, !ret, "DMA works %s", when);
}

static void stage_1_setup(struct test_device *test, int luo_fd)
{
	char name[LIVEUPDATE_SESSION_NAME_LENGTH];
	struct test_state *state;
	int ret;

	test->iommu = iommu_init(iommu_mode(test));
	test->device = vfio_pci_device_init(test->bdf, test->iommu);
	dma_memory_create(&test->mem, test->iommu);

	state = test_state(test);
	state->magic = STATE_MAGIC;
	snprintf_assert(state->iommu_mode, sizeof(state->iommu_mode), "%s",
			test->iommu->mode->name);

	markers_try(test);

	if (test->device->driver.ops)
		driver_init(test);
	else
		vfio_pci_cmd_set(test->device, PCI_COMMAND_MASTER);
	result_dma(test, "before it is preserved");

	/* Behind an IOMMU, DMA ends with this kernel. */
	state->dma = test->iommu->mode->noiommu && has_resume(test);
	markers_set(test);

	session_name(test, name);
	test->session_fd = luo_create_session(luo_fd, name);
	if (test->session_fd < 0)
		ksft_exit_fail_msg("Failed to create session %s: %s\n",
				   name, strerror(-test->session_fd));

	ret = luo_session_preserve_fd(test->session_fd, test->mem.fd, MEMORY_TOKEN);
	if (ret)
		ksft_exit_fail_msg("%s: Failed to preserve the memory: %s\n",
				   test->bdf, strerror(-ret));

	ret = luo_session_preserve_fd(test->session_fd, test->device->fd, DEVICE_TOKEN);
	if (ret)
		ksft_exit_fail_msg("%s: Failed to preserve the device: %s\n",
				   test->bdf, strerror(-ret));

	result(test, true, "the device is preserved");
}

/*
 * Have the devices copy memory, again and again until the kexec. Should one fail,
 * all sessions go.
 *
 * Each copy is of DMA_COPY_SIZE and is started from here, so there is at most one
 * under way in each device when the CPUs stop, and often none. This is no stream
 * of DMA that lasts until the next kernel runs. What it leaves behind is a device
 * that may do DMA, with rings that are in use, stopped anywhere.
 */
static void __noreturn keep_copying(struct test_device *tests, int nr_tests)
{
	u8 seed = 0;
	int ret;

	for (;;) {
		usleep(1000);

		for (int i = 0; i < nr_tests; i++) {
			struct test_state *state = test_state(&tests[i]);

			if (!state->dma)
				continue;

			ret = dma_copy(tests[i].device, &tests[i].mem, seed++);
			if (ret)
				VFIO_FAIL("%s: copy %lu failed: %s\n", tests[i].bdf,
					  state->copies, strerror(-ret));

			WRITE_ONCE(state->copies, state->copies + 1);
		}
	}
}

static bool is_copying(struct test_device *test)
{
	u64 copies = READ_ONCE(test_state(test)->copies);

	for (int i = 0; i < 1000; i++) {
		if (READ_ONCE(test_state(test)->copies) > copies)
			return true;

		usleep(10000);
	}

	return false;
}

static void stage_1(struct test_device *tests, int nr_tests, int luo_fd)
{
	int kmsg_fd;

	for (int i = 0; i < nr_tests; i++)
		stage_1_setup(&tests[i], luo_fd);

	VFIO_ASSERT_EQ(close(luo_fd), 0);

	/* The child has no terminal. Should it end, the kernel log says why. */
	kmsg_fd = open("/dev/kmsg", O_WRONLY);
	VFIO_ASSERT_GE(kmsg_fd, 0, "open(/dev/kmsg) failed\n");

	if (!daemonize()) {
		dup2(kmsg_fd, STDERR_FILENO);
		keep_copying(tests, nr_tests);
	}

	VFIO_ASSERT_EQ(close(kmsg_fd), 0);

	for (int i = 0; i < nr_tests; i++) {
		if (test_state(&tests[i])->dma)
			result(&tests[i], is_copying(&tests[i]), "DMA goes on");
		else if (!tests[i].iommu->mode->noiommu)
			skip(&tests[i], "DMA goes on: the device is behind an IOMMU");
		else
			skip(&tests[i], "DMA goes on: no driver that can resume");
	}
}

static bool open_is_refused(const char *path)
{
	int fd = open(path, O_RDWR);

	if (fd < 0)
		return errno == EBUSY;

	VFIO_ASSERT_EQ(close(fd), 0);
	return false;
}

static bool cdev_is_refused(struct test_device *test)
{
	const char *path = vfio_pci_get_cdev_path(test->bdf);
	bool refused = open_is_refused(path);

	free((void *)path);
	return refused;
}

static void result_group_refused(struct test_device *test)
{
	char *path = vfio_pci_get_group_path(test->bdf);

	if (!path)
		skip(test, "open of the group is refused: no groups");
	else
		result(test, open_is_refused(path), "open of the group is refused");

	free(path);
}

static void result_command(struct test_device *test, bool bus_master, const char *when)
{
	u16 command = sysfs_command(test);

	result(test, !!(command & PCI_COMMAND_MASTER) == bus_master,
	       "bus mastering is %s %s", bus_master ? "on" : "off", when);

	if (sysfs_config_read(test->bdf, PCI_INTERRUPT_PIN, u8))
		result(test, command & PCI_COMMAND_INTX_DISABLE, "INTx is disabled %s", when);
	else
		skip(test, "INTx is disabled %s: there is none", when);
}

static void result_markers(struct test_device *test)
{
	for (int i = 0; i < NR_MARKERS; i++) {
		if (test_state(test)->marker_usable[i])
			result(test, marker_is_set(test, i), "%s was not reset", markers[i].name);
		else
			skip(test, "%s was not reset: no marker", markers[i].name);
	}
}

/* Take over a device that was never stopped. */
static void result_resume(struct test_device *test)
{
	struct test_state *state = test_state(test);

	if (!state->dma) {
		skip(test, "DMA goes on: it was stopped");
		skip(test, "interrupts work: DMA was stopped");
		return;
	}

	ksft_print_msg("%s: copied %lu times before the kexec\n", test->bdf, state->copies);

	dma_driver_region_set(test->device, &test->mem);
	vfio_pci_driver_resume(test->device);
	result_dma(test, "without having been set up again");

	if (test->device->driver.ops->send_msi)
		result(test, !send_msi(test->device), "interrupts work");
	else
		skip(test, "interrupts work: the driver sends none");
}

/* Ask for a reset through sysfs, which must not happen to an incoming device. */
static void result_sysfs_reset_refused(struct test_device *test)
{
	char path[PATH_MAX];
	ssize_t ret;
	int fd;

	snprintf_assert(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", test->bdf);
	fd = open(path, O_WRONLY);
	if (fd < 0) {
		skip(test, "reset through sysfs is refused: not supported");
		return;
	}

	ret = write(fd, "1", 1);
	result(test, ret < 0 && errno == EBUSY, "reset through sysfs is refused");
	VFIO_ASSERT_EQ(close(fd), 0);
}

static void result_reset_works(struct test_device *test)
{
	if (test->device->driver.initialized)
		vfio_pci_driver_remove(test->device);

	/* A reset saves this state, which must not be what the last close restores. */
	vfio_pci_cmd_set(test->device, PCI_COMMAND_MASTER);
	markers_set(test);
	if (test->device->info.flags & VFIO_DEVICE_FLAGS_RESET)
		vfio_pci_device_reset(test->device);

	if (!markers_usable(test)) {
		skip(test, "the device can be reset: no marker");
		return;
	}

	result(test, !markers_count_set(test), "the device can be reset");
}

/* Take over what stage 1 preserved, up to the end of its session. */
static void stage_2_take_over(struct test_device *test, int luo_fd)
{
	char name[LIVEUPDATE_SESSION_NAME_LENGTH];
	struct test_state *state;
	int fd;

	result(test, cdev_is_refused(test), "open of the cdev is refused");
	result_group_refused(test);

	session_name(test, name);
	test->session_fd = luo_retrieve_session(luo_fd, name);
	if (test->session_fd < 0)
		ksft_exit_fail_msg("Failed to retrieve session %s (%s), was there a stage 1?\n",
				   name, strerror(-test->session_fd));

	test->iommu = iommu_init(iommu_mode(test));
	sysfs_bars(test, test->bars);
	result_command(test, test->iommu->mode->noiommu, "before bind");

	result(test, luo_session_finish(test->session_fd) == -EBUSY,
	       "finish before retrieve is refused");

	fd = luo_session_retrieve_fd(test->session_fd, DEVICE_TOKEN);
	if (fd < 0)
		ksft_exit_fail_msg("%s: Failed to retrieve the device: %s\n",
				   test->bdf, strerror(-fd));
	result(test, true, "the device is retrieved");

	result(test, cdev_is_refused(test), "open of the cdev is still refused");
	result(test, luo_session_finish(test->session_fd) == -EBUSY,
	       "finish before bind is refused");

	test->device = vfio_pci_device_init_fd(test->bdf, test->iommu, fd);
	result(test, true, "the device is bound");

	/* From the time when it is retrieved until it is mapped it may move. */
	fd = luo_session_retrieve_fd(test->session_fd, MEMORY_TOKEN);
	if (fd < 0)
		ksft_exit_fail_msg("%s: Failed to retrieve the memory: %s\n",
				   test->bdf, strerror(-fd));

	dma_memfd_adopt(&test->mem, fd);
	dma_memfd_map(&test->mem, test->iommu);

	state = test_state(test);
	result(test, state->magic == STATE_MAGIC, "the memory is retrieved");
	if (strcmp(state->iommu_mode, test->iommu->mode->name))
		ksft_exit_fail_msg("%s: Stage 1 was in IOMMU mode %s, this is %s\n",
				   test->bdf, state->iommu_mode, test->iommu->mode->name);

	result_command(test, test->iommu->mode->noiommu, "after bind");
	result_markers(test);
	result_resume(test);
	result_sysfs_reset_refused(test);

	result(test, !luo_session_finish(test->session_fd), "the session is finished");
	VFIO_ASSERT_EQ(close(test->session_fd), 0);
}

/* Check that from then on the device is one like any other. */
static void stage_2_use(struct test_device *test)
{
	struct test_state *state = test_state(test);
	struct test_state saved = *state;
	u32 bars[PCI_STD_NUM_BARS];
	bool master;

	if (state->dma)
		result_dma(test, "after finish");
	else
		skip(test, "DMA works after finish: it was stopped");

	result_reset_works(test);

	if (test->device->driver.ops)
		driver_init(test);
	result_dma(test, "after a reset");

	markers_set(test);
	vfio_pci_cmd_set(test->device, PCI_COMMAND_MASTER);
	vfio_pci_device_cleanup(test->device);
	dma_memfd_cleanup(&test->mem);

	master = sysfs_command(test) & PCI_COMMAND_MASTER;
	sysfs_bars(test, bars);
	result(test, !master && !memcmp(bars, test->bars, sizeof(bars)),
	       "the last close restores config space");

	/* In config space, and now: opening the device resets it as well. */
	if (saved.marker_usable[MARKER_MSI_ADDRESS])
		result(test, sysfs_msi_address(test->bdf) != markers[MARKER_MSI_ADDRESS].value,
		       "the last close resets the device");
	else
		skip(test, "the last close resets the device: no marker");

	test->device = vfio_pci_device_init(test->bdf, test->iommu);
	dma_memory_create(&test->mem, test->iommu);
	*test_state(test) = saved;

	if (test->device->driver.ops)
		driver_init(test);
	result_dma(test, "in a device that was opened again");

	vfio_pci_device_cleanup(test->device);
	dma_memfd_cleanup(&test->mem);
	iommu_cleanup(test->iommu);
}

static void __noreturn bad_usage(const char *name)
{
	fprintf(stderr, "usage: %s --stage 1|2 [--iommu-mode mode] %s ...\n",
		name, "segment:bus:device.function");
	fprintf(stderr, "\n");
	fprintf(stderr, "The mode is %s or %s. By default it is the one of the device's cdev.\n",
		MODE_IOMMUFD, MODE_IOMMUFD_NOIOMMU);
	exit(KSFT_FAIL);
}

static int parse_args(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "stage", required_argument, NULL, 's' },
		{ "iommu-mode", required_argument, NULL, 'i' },
		{}
	};
	int stage = 0;
	int opt;

	while ((opt = getopt_long(argc, argv, "s:i:", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			stage = atoi(optarg);
			break;
		case 'i':
			if (strcmp(optarg, MODE_IOMMUFD) && strcmp(optarg, MODE_IOMMUFD_NOIOMMU))
				bad_usage(argv[0]);
			iommu_mode_arg = optarg;
			break;
		default:
			bad_usage(argv[0]);
		}
	}

	if (optind != argc || (stage != 1 && stage != 2))
		bad_usage(argv[0]);

	return stage;
}

int main(int argc, char *argv[])
{
	struct test_device *tests;
	int stage, nr_tests;
	char **bdfs;
	int luo_fd;

	bdfs = vfio_selftests_get_bdfs(&argc, argv, &nr_tests);
	stage = parse_args(argc, argv);

	ksft_print_header();
	ksft_set_plan(nr_tests * (stage == 1 ? STAGE_1_RESULTS : STAGE_2_RESULTS));

	luo_fd = luo_open_device();
	if (luo_fd < 0)
		ksft_exit_fail_msg("open(%s): %s\n", LUO_DEVICE, strerror(errno));

	tests = calloc_assert(nr_tests, sizeof(*tests));
	for (int i = 0; i < nr_tests; i++)
		tests[i].bdf = bdfs[i];

	if (stage == 1) {
		stage_1(tests, nr_tests, luo_fd);
	} else {
		for (int i = 0; i < nr_tests; i++) {
			stage_2_take_over(&tests[i], luo_fd);
			stage_2_use(&tests[i]);
		}
	}

	ksft_finished();
}
